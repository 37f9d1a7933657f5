"""How property tests are run: as they fall at one's desk, always the same in CI."""

import os

from hypothesis import settings

settings.register_profile("desk", deadline=None, max_examples=100)
settings.register_profile("ci", deadline=None, max_examples=100, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "desk")
