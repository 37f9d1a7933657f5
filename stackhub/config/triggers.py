"""What else begins a run: the triggers of a pipeline file, from text to values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from stackhub.config.expand import references
from stackhub.config.findings import Loc
from stackhub.config.instances import Instances
from stackhub.config.page import Page
from stackhub.config.pipeline_file import HookFile, PipelineFile, TriggerFile
from stackhub.contract import Role
from stackhub.decide.signed import SHORTEST as SHORTEST_KEY
from stackhub.decide.signed import key
from stackhub.model.pipeline import Files, Hook, Landed, Watched
from stackhub.model.words import say

KINDS: Final = ("pipeline", "landed", "file", "webhook")
BELONGS: Final = {"any": "landed", "every": "file", "settle": "file", "instance": "file"}
SHORTEST: Final = timedelta(seconds=1)
LATEST: Final = timedelta(hours=1)  # requests are known by their ids for longer


@dataclass(slots=True, kw_only=True)
class Triggers:
    """What the triggers of one file came to."""

    after: dict[str, Loc] = field(default_factory=dict)  # upstream pipelines, and where they are named
    landed: tuple[Landed, ...] = ()
    files: tuple[Files, ...] = ()
    hook: Hook | None = None
    secrets: list[str] = field(default_factory=list)


def triggers(file: PipelineFile, page: Page, instances: Instances, environ: Mapping[str, str]) -> Triggers:
    """Read the triggers. What is wrong is told, and left out."""
    found = Triggers()
    for at, one in file.triggers.items():
        loc: Loc = ("triggers", at)
        written = [kind for kind in KINDS if page.document.holds((*loc, kind))]
        if not written and _unknown(page.document.data["triggers"][at]):
            continue  # what was meant for a key has been told
        if len(written) != 1:
            said = (
                f"has both {' and '.join(written)}: make two of it" if written else f"needs a key: {', '.join(KINDS)}"
            )
            page.wrong(loc, said)
            continue
        for belongs, kind in BELONGS.items():
            if page.document.holds((*loc, belongs)) and kind not in written:
                page.wrong((*loc, belongs), f"means something for {kind} only, not for {written[0]}", key=True)
        _read(one, loc, page, instances, found)
        if one.webhook is not None:
            _hook(one.webhook, (*loc, "webhook"), page, environ, found)
    return found


def _read(one: TriggerFile, loc: Loc, page: Page, instances: Instances, found: Triggers) -> None:
    if one.pipeline is not None:
        found.after.setdefault(one.pipeline, (*loc, "pipeline"))
    if one.landed is not None and (watched := watches(one.landed, (*loc, "landed"), page, instances)):
        found.landed = (*found.landed, Landed(connections=watched, any=one.any))
    if one.file is not None:
        _files(one, loc, page, instances, found)


def _files(one: TriggerFile, loc: Loc, page: Page, instances: Instances, found: Triggers) -> None:
    at, url = (*loc, "file"), (one.file or "").strip()
    scheme, colon, rest = url.partition("://")
    if not url:
        page.wrong(at, "must not be empty")
        return
    if colon and not (rest.partition("/")[0] and rest.partition("/")[2]):
        page.wrong(at, f"should be {scheme}://<bucket>/<glob>")
        return
    if not colon and one.instance is not None:
        page.wrong((*loc, "instance"), "files of this machine belong to no instance", key=True)
        return
    name = (one.instance or scheme) if colon else ""
    if name and name.partition(".")[0] != scheme:
        page.wrong((*loc, "instance"), f"{name!r} is no instance of {scheme}")
        return
    if name and instances.ask(name, page.document.place(at), page.before(at)) is None:
        return
    plain = Files(url=url, instance=name)
    every = one.every if one.every is not None else plain.every
    settle = one.settle if one.settle is not None else plain.settle
    if every < SHORTEST:
        page.wrong((*loc, "every"), f"should be {say(SHORTEST)} at least")
    found.files = (*found.files, replace(plain, every=every, settle=settle))


def _hook(one: HookFile, loc: Loc, page: Page, environ: Mapping[str, str], found: Triggers) -> None:
    if found.hook is not None:
        page.wrong(loc, "a pipeline has one hook: this is the second")
        return
    at = (*loc, "secret")
    variables = references(one.secret)
    if [f"${{{name}}}" for name, default in variables if default is None] != [one.secret]:
        page.wrong(at, "is a secret and must not stand in a file: use ${VAR}, without a default")
        return
    value = environ.get(variables[0][0], "")
    try:
        short = len(value) < SHORTEST_KEY or not key(value)
    except ValueError:
        page.wrong(at, f"the variable {variables[0][0]} begins with whsec_ and is no base64 behind it")
        return
    if short:
        said = f"is not set, or has less than {SHORTEST_KEY} characters: make one with `openssl rand -hex 32`"
        page.wrong(at, f"the variable {variables[0][0]} {said}")
        return
    tolerance = one.tolerance if one.tolerance is not None else Hook(secret="").tolerance
    if not SHORTEST <= tolerance <= LATEST:
        page.wrong((*loc, "tolerance"), f"should lie between {say(SHORTEST)} and {say(LATEST)}")
    found.secrets.append(value)
    found.hook = Hook(secret=one.secret, tolerance=tolerance)


def _unknown(written: object) -> bool:
    return not isinstance(written, dict) or bool(written.keys() - TriggerFile.model_fields.keys())


def watches(written: Mapping[int, str], loc: Loc, page: Page, instances: Instances) -> tuple[Watched, ...]:
    """Read ``instance:connection`` each; those of accounts that are not there, or list nothing, are told."""
    found: dict[Watched, None] = {}
    if not written and page.document.holds(loc):
        page.wrong(loc, "names no connection")
    for at, text in written.items():
        here = (*loc, at)
        name, colon, connection = text.partition(":")
        if not (name and colon and connection.strip()):
            page.wrong(here, f"should be <instance>:<connection>, such as fivetran:{text.strip(': ') or 'salesforce'}")
            continue
        watched = Watched(instance=name, connection=connection.strip())
        instance = instances.ask(name, page.document.place(here), page.before(here))
        if instance is None:
            continue
        if not any(one.role is Role.EXTRACT for one in instance.connector.operations.values()):
            page.wrong(here, f"{name} loads nothing, so nothing lands there")
        elif watched in found:
            page.wrong(here, f"{text!r} is listed twice")
        found[watched] = None
    return tuple(found)
