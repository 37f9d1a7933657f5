"""Short stories, each with what must have come of it however often the hub died meanwhile."""

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from engine.far_end import BROKEN, FAILED, OK, Lost
from engine.press import Project, fills
from simulation import week
from simulation.ground import Ground

from stackhub.contract import Finished, Landing, Outcome, Rejected, Unavailable
from stackhub.contract.sandbox import Feed
from stackhub.errors import Refused

SHOP = """
pipeline: shop
tasks:
  orders: {uses: tap.sync, with: {connection: orders}, retries: {attempts: 2, wait: 1s}}
  stripe: {uses: tap.sync, with: {connection: stripe}, retries: {attempts: 2, wait: 1s}}
  marts: {uses: mill.build, retries: {attempts: 1}}
"""
LINE = """
pipeline: shop
tasks:
  orders: {uses: tap.sync, with: {connection: orders}, retries: {attempts: 2, wait: 1s}}
  marts: {uses: mill.build, retries: {attempts: 1}}
"""
PART = """
pipeline: shop
schedule: {cron: "1 12 * * *"}
tasks:
  orders: {uses: tap.sync, with: {connection: orders}, retries: {attempts: 1}}
  hits: {uses: tap.sync, with: {connection: hits}, retries: {attempts: 1}}
  marts: {uses: press.build, with: {partial: true}, retries: {attempts: 1}}
"""
BLIND = "pipeline: shop\ntasks: {orders: {uses: tap.blind, with: {connection: orders}, retries: {attempts: 1}}}\n"


@dataclass(frozen=True)
class Story:
    name: str
    furnish: Callable[[Ground], None]  # once
    begin: Callable[[Ground], None]  # before each life
    check: Callable[[Ground], None]
    pipeline: str = "shop"
    runs: int = 1  # that somebody asks for
    scheduled: bool = False
    until: timedelta | None = None  # its end is not before then


AFTER = "pipeline: after\ntriggers: [{pipeline: shop}]\ntasks: {b: {uses: mill.build, with: {select: b}}}\n"
VENDORS = """
pipeline: shop
tasks:
  crm: {uses: fivetran.sync, with: {connection: crm}, retries: {attempts: 1}}
  pay: {uses: airbyte.sync, with: {connection: pay}, retries: {attempts: 1}}
  marts: {uses: mill.build, retries: {attempts: 1}}
alerts: [{to: slack, channel: "#data-alerts"}, {to: pagerduty}]
"""
TELLING = ("tap", "mill", "bell", "horn")


def furnished(pipeline, *instances):
    return lambda on: on.house.instances(*(instances or TELLING)).pipeline(pipeline)


def states(on):
    return [state for (state,) in on.ask("SELECT state FROM run ORDER BY id")]


def check_jobs(on, *, runs=1, extracts=("orders", "stripe"), tries=1):
    """One job for each intent; every build after what it needs has landed."""
    tap, mill = on["tap"], on["mill"]
    for what in extracts:
        assert len(tap.of(what)) == runs * tries, f"syncs of {what}: {len(tap.of(what))}"
    assert len(mill.jobs) == runs, f"builds: {len(mill.jobs)}"
    assert len({job.key for job in (*tap.jobs, *mill.jobs)}) == len(tap.jobs) + len(mill.jobs), "a key was used twice"
    for nth, build in enumerate(mill.jobs):
        for what in extracts:
            landing = tap.of(what)[(nth + 1) * tries - 1].end.landing
            assert landing is not None, f"{what} was built upon, and never landed"
            assert int(landing.mark) < build.began, f"built before {what} had landed"


def by_itself(on, name, seconds=2.0):
    """Let jobs of an account end when their time has come, whether or not anybody asks."""
    account, universe = on[name], on.universe
    account.hold = True
    planned, account.outcomes = account.outcomes, defaultdict(deque)  # polls would end them before their time
    begin = account.begin

    def begun(what, key):
        made = begin(what, key)
        universe.at(timedelta(seconds=seconds), lambda: end(made))
        return made

    def end(job):
        outcome = planned[job.what].popleft() if planned[job.what] else OK
        if outcome.ok and name == "tap":
            mark = f"{account.world.tick():06}"
            outcome = Finished(
                outcome=Outcome.OK, landing=Landing(connection=job.what, mark=mark, ended_at=universe.clock.now())
            )
        job.end = outcome

    account.begin = begun


# --- stories ---------------------------------------------------------------------------------------------------------


def world(**scripts):
    """Return what prepares the far ends: jobs take their time, and ``scripts`` say what goes otherwise."""

    def begin(on):
        for name, script in scripts.items():
            script(on[name])
        by_itself(on, "tap")
        by_itself(on, "mill")

    return begin


def check_well(*extracts):
    def check(on):
        check_jobs(on, extracts=extracts)
        assert states(on) == ["succeeded"]
        assert on.ask("SELECT * FROM incident") == []
        assert on["bell"].sent == {}

    return check


def fails(mill):
    mill.outcomes["all"].append(FAILED)


def check_told(tries):
    def check(on):
        check_jobs(on, extracts=("orders",), tries=tries)
        assert states(on) == ["failed"], states(on)
        ((key, resolved),) = on.ask("SELECT key, resolved_at FROM incident")
        assert (key, resolved) == ("pipeline:shop", None)
        for name in ("bell", "horn"):
            assert [(part, event) for part, event, _ in on[name].order] == [("root", "opened")], name

    return check


def check_recovers(on):
    check_jobs(on, runs=2, extracts=("orders",))
    assert sorted(states(on)) == ["failed", "succeeded"]
    ((resolved,),) = on.ask("SELECT resolved_at FROM incident")
    assert resolved is not None
    bell = [(part, event) for part, event, _ in on["bell"].order]
    assert bell == [("root", "opened"), ("root", "resolved"), ("entry", "resolved")], bell
    horn = [(part, event) for part, event, _ in on["horn"].order]
    assert horn[:2] == [("root", "opened"), ("root", "resolved")], horn


def loses(tap):
    tap.will("start", Lost())


def is_lost(mill):
    fails(mill)
    mill.will("start", Lost())


def busy(tap):
    tap.outcomes["orders"].append(BROKEN)
    tap.will("poll", Unavailable("busy"))


def silent(bell):
    bell.will("deliver", Lost())


def patient(horn):
    horn.will("deliver", Unavailable("busy", retry_after=timedelta(seconds=7)))


def check_blind(on):
    """A blind start is made once at most; when nobody can know, a person is asked."""
    assert len(on["tap"].jobs) <= 1
    assert on["tap"].count("start") <= 1
    ((state,),) = on.ask("SELECT state FROM run")
    asked = on.ask("SELECT count(*) FROM incident")[0][0]
    assert (state, asked) in {("succeeded", 0), ("failed", 1)}, (state, asked)


def persists(kind, after, **args):
    """Let a person ask for something, again and again until there is an answer."""

    def begin(on):
        world()(on)

        def ask():
            lives = on.universe.lives
            asked = lives[-1].submit(kind, run=on.ask("SELECT max(id) FROM run")[0][0], **args) if lives else None
            on.universe.at(timedelta(seconds=2), lambda: None if asked and _answered(asked) else ask())

        on.universe.at(timedelta(seconds=after), ask)

    return begin


def _answered(asked):
    return asked.done and (asked.error is None or isinstance(asked.error, Refused))


def check_cancelled(on):
    """What was asked to stop has stopped, and nothing is begun after it."""
    assert states(on)[0] in {"cancelled", "succeeded"}
    assert len(on["tap"].jobs) <= 1
    assert len(on["mill"].jobs) <= 1
    assert on["bell"].sent == {}


def with_downstream(on):
    furnished(LINE)(on)
    on.house.pipeline(AFTER)


def check_downstream(on):
    ended = on.ask("SELECT pipeline, state FROM run ORDER BY pipeline")
    assert ended == [("after", "succeeded"), ("shop", "succeeded")], ended
    assert [job.what for job in on["mill"].jobs] == ["all", "b"]
    assert len(on["tap"].jobs) == 1


def with_fallback(on):
    furnished(LINE + "alerts: [{to: bell}]\n")(on)
    on.house.write("stackhub.env", "STACKHUB_GRACE=1s\nSTACKHUB_FALLBACK=horn\n")


def dead_route(bell):
    bell.broken = Rejected("channel_not_found")


def check_fallback(on):
    check_jobs(on, extracts=("orders",))
    heard = [title for _, event, title in on["horn"].order if event == "opened"]
    assert heard.count("shop failed: marts") == 1, heard
    assert len(heard) == len(set(heard)) == len(on["horn"].order), heard  # that the route is dead is told as well
    told = on.ask("SELECT DISTINCT instance, state FROM outbox ORDER BY 1")
    assert told == [("bell", "undeliverable"), ("horn", "sent")], told


def check_ticks(on):
    """No tick is lost or doubled, and each that was to run did, once."""
    ticks = on.ask("SELECT at, verdict, run FROM tick ORDER BY at")
    passed = on.universe.clock.now().timestamp() - ticks[0][0] / 1e6
    assert passed >= 90
    assert [(at - ticks[0][0]) / 1e6 for at, _, _ in ticks] == [30.0 * nth for nth in range(int(passed // 30) + 1)], (
        ticks
    )
    runs = [run for _, verdict, run in ticks if verdict == "run"]
    assert len(runs) == len(set(runs)) == len(states(on)) > 0
    assert set(states(on)) == {"succeeded"}
    check_jobs(on, runs=len(runs), extracts=("orders",))


def with_vendors(on):
    week.reach(week.played(on))
    on.house.pipeline(VENDORS)


def vendors(on):
    made = week.played(on)
    made.stage.add("fivetran", Feed(id="crm_1", name="crm", schema="crm", seconds=20))
    made.stage.add("airbyte", Feed(id="00000000-0000-4000-8000-000000000001", name="pay", seconds=25))
    on.vendors = made.vendors
    fails(on["mill"])
    by_itself(on, "mill")


def check_vendors(on):
    assert on.vendors["fivetran"].started("crm") == 1
    assert on.vendors["airbyte"].started("pay") == 1
    assert len(on["mill"].jobs) == 1
    assert states(on) == ["failed"]
    assert len(on.vendors["slack"].shown()) == 1, on.vendors["slack"].shown()
    assert len(on.vendors["pagerduty"].shown()) == 1, on.vendors["pagerduty"].shown()
    done = dict(on.ask("SELECT task, state FROM step"))
    assert done == {"crm": "succeeded", "pay": "succeeded", "marts": "failed"}, done


def with_trigger(pipeline):
    def furnish(on):
        furnished(pipeline, "tap", "mill")(on)
        on.house.write("stackhub.env", "STACKHUB_GRACE=1s\nSTACKHUB_CATALOG_EVERY=5s\n")

    return furnish


def lands(on):
    """Let the account load by its own schedule, once the trigger is in force."""
    by_itself(on, "mill")
    on["tap"].has("orders")

    def land():
        if on.ask("SELECT 1 FROM watermark WHERE connection IS NOT NULL"):
            on["tap"].land("orders")
        else:
            on.universe.at(timedelta(seconds=3), land)

    on.universe.at(timedelta(seconds=3), land)


def check_landed(on):
    """What has landed is one run, by whom it was seen and whoever died."""
    assert states(on) == ["succeeded"], states(on)
    assert len(on["mill"].jobs) == 1
    marks = on.ask("SELECT watermark.mark, landing.mark FROM watermark, landing")
    assert [taken == newest for taken, newest in marks] == [True], marks


def check_required(on):
    check_landed(on)
    ((verdict,),) = on.ask("SELECT verdict FROM tick")
    assert verdict == "run"


LANDED = """
pipeline: shop
triggers: [{landed: [tap:orders]}]
tasks: {marts: {uses: mill.build, retries: {attempts: 1}}}
"""
REQUIRED = LANDED.replace("triggers: [{landed: [tap:orders]}]", "schedule: {cron: '1 12 * * *', require: [tap:orders]}")


def leaves_a_part(on):
    """Let an extract fail that lands by itself later; until then what reads it is owed."""
    on["press"].project = Project({"a": ["crm.orders"], "b": ["crm.hits"], "c": ["a", "b"]})
    for name in ("orders", "hits"):
        fills(on["tap"], name, name)
    on["tap"].outcomes["hits"].append(FAILED)
    for name in ("tap", "press"):
        by_itself(on, name)
    on.universe.at(timedelta(seconds=150), lambda: on["tap"].land("hits"))


def check_owed(on):
    """Each model was built once, those that were left after their input had landed."""
    assert on["press"].__dict__["built"] == [("a",), ("b", "c")], on["press"].__dict__["built"]
    assert states(on) == ["partial", "succeeded"]
    assert on.ask("SELECT count(*) FROM owed") == [(2,)]
    assert on.ask("SELECT count(*) FROM owed WHERE paid_by = ''") == [(0,)]
    assert on.ask("SELECT count(*) FROM incident WHERE resolved_at IS NULL") == [(0,)]


STORIES = (
    Story("line", furnished(LINE, "tap", "mill"), world(), check_well("orders")),
    Story("pair", furnished(SHOP), world(), check_well("orders", "stripe")),
    Story("lost", furnished(LINE), world(tap=loses), check_well("orders")),
    Story("told", furnished(LINE), world(mill=fails), check_told(tries=1)),
    Story("stumbles", furnished(LINE), world(tap=busy, mill=is_lost, bell=silent, horn=patient), check_told(tries=2)),
    Story("recovers", furnished(LINE), world(mill=fails), check_recovers, runs=2),
    Story("blind", furnished(BLIND), world(), check_blind),
    Story("cancelled", furnished(LINE), persists("cancel", after=1), check_cancelled),
    Story("downstream", with_downstream, world(), check_downstream),
    Story("fallback", with_fallback, world(mill=fails, bell=dead_route), check_fallback),
    Story("vendors", with_vendors, vendors, check_vendors),
    Story("landed", with_trigger(LANDED), lands, check_landed, runs=0, scheduled=True, until=timedelta(seconds=60)),
    Story(
        "required", with_trigger(REQUIRED), lands, check_required, runs=0, scheduled=True, until=timedelta(seconds=90)
    ),
    Story(
        "ticks",
        furnished(LINE.replace("tasks:", "schedule: {every: 30s}\ncatchup: all\noverlap: queue\ntasks:")),
        world(),
        check_ticks,
        runs=0,
        scheduled=True,
        until=timedelta(seconds=148),
    ),
)

# Too long to be told for each of its ten thousand awaits.
OWED = Story(
    "owed",
    furnished(PART, "tap", "press", "bell", "mill"),
    leaves_a_part,
    check_owed,
    runs=0,
    scheduled=True,
    until=timedelta(minutes=12),
)
