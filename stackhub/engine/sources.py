"""How the triggers are put together: what they watch, and who wakes them."""

from dataclasses import dataclass

from stackhub.engine.births import Births
from stackhub.engine.catalog import Swept
from stackhub.engine.files import FileTriggers
from stackhub.engine.lanes import Lanes
from stackhub.engine.opening import Place
from stackhub.engine.required import Required
from stackhub.engine.scheduler import Scheduler
from stackhub.engine.triggers import Beginning, Triggers
from stackhub.engine.watching import Watching


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What begins runs, besides schedules and people."""

    triggers: Triggers
    watching: Watching
    files: FileTriggers


def connect(place: Place, births: Births, scheduler: Scheduler, lanes: Lanes) -> Sources:
    """Make the triggers, and have them woken by looks at accounts, by ticks that wait, and by runs that end."""
    store, in_force, tenure, clock = place.store, place.in_force, place.tenure, place.clock
    beginning = Beginning(store=store, board=place.board, births=births, in_force=in_force, tenure=tenure, clock=clock)
    triggers = Triggers(store=store, in_force=in_force, tenure=tenure, beginning=beginning, clock=clock)
    watching = Watching(
        store=store,
        incidents=place.incidents,
        in_force=in_force,
        clock=clock,
        every=lambda: in_force.configuration.hub.catalog_every,
    )
    required = Required(
        store=store,
        board=place.board,
        incidents=place.incidents,
        in_force=in_force,
        tenure=tenure,
        beginning=beginning,
        clock=clock,
        ring=lanes.ring_outboxes,
        contact=place.contact,
    )

    def swept(seen: Swept) -> None:
        if seen.before != seen.after:
            triggers.bell.ring()

    triggers.sources.append(required.look)
    scheduler.on_wait = triggers.bell.ring
    place.catalogue.followers.append(watching)
    place.catalogue.on_swept.append(swept)
    place.board.on_moved.append(lambda run, _: triggers.bell.ring() if run.run.ended_at is not None else None)
    files = FileTriggers(
        store=store,
        incidents=place.incidents,
        in_force=in_force,
        tenure=tenure,
        beginning=beginning,
        clock=clock,
        directory=place.directory,
        shows=lambda name: held.connector if (held := lanes.open.get(name)) else None,
        ring=lanes.ring_outboxes,
    )
    return Sources(triggers=triggers, watching=watching, files=files)
