"""Suites that every connector must pass, ours and a stranger's alike, and what is needed to run one without a network.

Subclass a suite in a test file, give it the fixtures its docstring names, and pytest collects the rules:

    class TestFivetranJobs(VendorJobsContract):
        starts = r"/sync$"
        lists = r"/connections$"

        @pytest.fixture
        async def jobs(self, vendor): ...
"""

import pytest

for _suite in ("catalog", "jobs", "notifier", "probe", "vendor", "vendor_jobs", "waits", "webhook"):
    pytest.register_assert_rewrite(f"{__name__}.{_suite}")

from stackhub.testing.catalog import CatalogContract  # noqa: E402 - asserts are rewritten on import
from stackhub.testing.jobs import JobsContract  # noqa: E402
from stackhub.testing.notifier import NotifierContract  # noqa: E402
from stackhub.testing.probe import ProbeContract  # noqa: E402
from stackhub.testing.vendor import Clock, a_context, open_on, settings_from, vendor_transport  # noqa: E402
from stackhub.testing.vendor_jobs import VendorJobsContract  # noqa: E402
from stackhub.testing.waits import WaitContract  # noqa: E402
from stackhub.testing.webhook import Delivery, WebhookContract  # noqa: E402

__all__ = [
    "CatalogContract",
    "Clock",
    "Delivery",
    "JobsContract",
    "NotifierContract",
    "ProbeContract",
    "VendorJobsContract",
    "WaitContract",
    "WebhookContract",
    "a_context",
    "open_on",
    "settings_from",
    "vendor_transport",
]
