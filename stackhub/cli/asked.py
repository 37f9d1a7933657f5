"""Every instance of a configuration, opened and asked at the same time: what is wrong with one hides no other."""

from collections.abc import Awaitable, Callable, Container

import anyio

from stackhub.config.instances import Instance
from stackhub.config.read import Configuration
from stackhub.contract import Context
from stackhub.errors import ConfigError, ConnectorError
from stackhub.server.redact import Redactor

Ask = Callable[[Instance, object], Awaitable[None]]


async def ask_each(
    configuration: Configuration, ask: Ask, *, patience: float, only: Container[str] | None = None
) -> dict[str, str]:
    """Open and ask each instance; return, by its name and without a secret, what kept one from answering.

    ``patience`` is in seconds, for each instance; ``only`` names those to ask.
    What an instance had answered before it failed stays with ``ask``.
    """
    hide = Redactor(configuration.secrets)
    silent: dict[str, str] = {}

    async def one(instance: Instance) -> None:
        context = Context(instance=instance.name, directory=configuration.directory, state=configuration.hub.state_dir)
        try:
            with anyio.fail_after(patience):
                async with instance.connector.open(instance.settings, context) as opened:
                    await ask(instance, opened)
        except TimeoutError:
            silent[instance.name] = f"no answer within {patience:g} s"
        except (ConfigError, ConnectorError) as err:
            silent[instance.name] = hide(str(err))
        except Exception as err:  # noqa: BLE001 - a plugin's bug costs its own instance, and hides no other
            silent[instance.name] = hide(f"bug in its connector: {err!r}")

    async with anyio.create_task_group() as group:
        for instance in configuration.instances.values():
            if only is not None and instance.name not in only:
                continue
            group.start_soon(one, instance)
    return silent
