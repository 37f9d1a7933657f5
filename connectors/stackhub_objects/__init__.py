"""Object stores: what stands in a bucket, for triggers that wait for files. ``s3``, ``gs`` and ``az``, as in a URL.

Each takes its credentials from its env file; what that does not say comes from the environment, as for every tool of
that cloud (``AWS_*``, ``GOOGLE_*``, ``AZURE_*``, the machine's own role).
"""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from stackhub.contract import ConfigError, Context, Limits, Operation, Options, Settings
from stackhub.contract.sandbox import FakeVendor, World
from stackhub_objects.listing import Bucket, Makes

ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")  # where the environment names another


class S3Settings(Settings):
    """``s3.env``: S3, and what speaks as it does."""

    model_config = SettingsConfigDict(env_prefix="S3_")

    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    session_token: SecretStr | None = None
    region: str | None = None
    endpoint: str | None = None  # another address than Amazon's: https://minio.example.com
    anonymous: bool = False  # a public bucket: nothing is signed


class GSSettings(Settings):
    """``gs.env``: Google Cloud Storage."""

    model_config = SettingsConfigDict(env_prefix="GS_")

    service_account: Path | None = None  # the key file of a service account
    anonymous: bool = False


class AZSettings(Settings):
    """``az.env``: Azure Blob Storage; a URL is az://container/path."""

    model_config = SettingsConfigDict(env_prefix="AZ_")

    account_name: str | None = None
    account_key: SecretStr | None = None
    sas_token: SecretStr | None = None
    endpoint: str | None = None


def _s3(settings: S3Settings, directory: Path) -> Mapping[str, Any]:
    del directory
    return {
        "access_key_id": settings.access_key_id,
        "secret_access_key": _shown(settings.secret_access_key),
        "token": _shown(settings.session_token),
        "region": settings.region,
        "endpoint": settings.endpoint,
        "skip_signature": settings.anonymous or None,
    }


def _gs(settings: GSSettings, directory: Path) -> Mapping[str, Any]:
    account = settings.service_account
    return {
        "service_account": str(directory / account) if account is not None else None,
        "skip_signature": settings.anonymous or None,
    }


def _az(settings: AZSettings, directory: Path) -> Mapping[str, Any]:
    del directory
    return {
        "account_name": settings.account_name,
        "account_key": _shown(settings.account_key),
        "sas_token": _shown(settings.sas_token),
        "endpoint": settings.endpoint,
    }


def _shown(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret is not None else None


class Objects:
    """One kind of object store."""

    operations: Mapping[str, Operation] = {}
    route: type[Options] | None = None

    def __init__(
        self,
        name: str,
        summary: str,
        settings: type[Settings],
        store: str,
        config: Callable[[Any, Path], Mapping[str, Any]],
    ) -> None:
        """``store``: the name of obstore's class for it."""
        self.name, self.summary, self.settings = name, summary, settings
        self._store, self._config = store, config

    def limits(self, _settings: Settings) -> Limits:
        """Say what is worth while: a listing is a request for each thousand objects."""
        return Limits(rate=10.0, burst=20, page=1000)

    @asynccontextmanager
    async def open(self, settings: Settings, context: Context) -> AsyncIterator[Bucket]:
        """Open an account; nothing is asked."""
        config = {k: v for k, v in self._config(settings, context.directory).items() if v is not None}
        yield Bucket(self.name, self._maker(config), context)

    def sandbox(self, _world: World) -> FakeVendor | None:
        """Nothing of ours: servers that play S3 are to be had (moto, MinIO)."""
        return None

    def _maker(self, config: Mapping[str, Any]) -> Makes:
        try:
            from obstore import store
        except ImportError as err:
            raise ConfigError(f"connector {self.name!r} needs obstore: pip install 'stackhub[s3]'") from err
        kind = getattr(store, self._store)
        said = config.get("endpoint") or next(filter(None, map(os.environ.get, ENDPOINTS)), "")
        plain = str(said).startswith("http://")

        def make(bucket: str, retries: Mapping[str, Any], patience: str) -> Any:
            options = {"timeout": patience, "connect_timeout": "5s", "allow_http": plain}
            return kind(bucket, config=dict(config), client_options=options, retry_config=dict(retries))

        return make


s3: Final = Objects("s3", "files in S3 buckets, for triggers", S3Settings, "S3Store", _s3)
gs: Final = Objects("gs", "files in Google Cloud Storage, for triggers", GSSettings, "GCSStore", _gs)
az: Final = Objects("az", "files in Azure Blob Storage, for triggers", AZSettings, "AzureStore", _az)
