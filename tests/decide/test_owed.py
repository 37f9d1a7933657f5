"""What a part leaves out and what is owed for it: of random graphs, landings and failures, none is built too early or never."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta

from decide.worlds import CALL, T0, rule
from hypothesis import given, settings
from hypothesis import strategies as st

from stackhub.contract import Connection, Finished, Health, Landing, Outcome, Relation
from stackhub.decide import create, owed, partial
from stackhub.decide.run import Begin, decide
from stackhub.decide.step import Claim, Heard, Verb
from stackhub.lineage import Held, match, read
from stackhub.lineage.infer import Wiring, infer, narrowed
from stackhub.model.feeding import Partial, Rule
from stackhub.model.pipeline import Need, Pipeline, Retries, Task
from stackhub.model.run import Interval, RunState, Trigger
from stackhub.model.step import StepState

EXTRACTS = ("a", "b", "c")
MODELS = tuple(f"m{nth}" for nth in range(6))
ONCE = Retries(attempts=1)
MINUTE = timedelta(minutes=1)
OK = Outcome.OK


@dataclass
class World:
    """A pipeline of three extracts and one task, its vendors and its warehouse, told one thing after another."""

    reads: dict  # model -> what it reads: extracts (by the source each fills) and models
    optional: frozenset = frozenset()
    wait: timedelta | None = None
    now: object = T0
    ledger: dict = field(default_factory=dict)
    landed: dict = field(default_factory=lambda: dict.fromkeys(EXTRACTS, 0))  # how often each has landed
    ended: dict = field(default_factory=dict)  # when it last did
    left: dict = field(default_factory=lambda: defaultdict(list))  # (model, extract) -> how often it had landed by then
    made: dict = field(default_factory=dict)  # model -> how often each extract had landed when it was built
    midst: dict = field(default_factory=dict)  # (model, extract) -> how often, by when it was built and more came
    runs: int = 0

    def __post_init__(self):
        self.rules = {name: rule() for name in (*EXTRACTS, "marts")}
        extracts = [
            Task(name=name, connector="tap", operation="sync", instance="tap", extract=True, retries=ONCE)
            for name in EXTRACTS
        ]
        marts = Task(
            name="marts",
            connector="press",
            operation="build",
            instance="press",
            retries=ONCE,
            needs=tuple(Need(task=name) for name in EXTRACTS),
            partial=Partial(wait=self.wait, rules={f"s.{one}": Rule.OPTIONAL for one in self.optional}),
        )
        plain = Pipeline(name="shop", tasks=(*extracts, marts))
        held = [
            Held(
                instance="tap",
                connection=Connection(id=one, name=one, health=Health.OK, relations=(Relation("raw", "s", one),)),
            )
            for one in EXTRACTS
        ]
        graph = read(self.manifest())
        wirings = [Wiring(task=one, instance="tap", connection=one) for one in EXTRACTS]
        selected = [f"model.p.{one}" for one in self.reads]
        found = infer(marts, wirings, graph, selected, held, match(graph, held))
        self.graph, self.pipeline = graph, narrowed(plain, {"marts": found}, {})

    def manifest(self):
        def id_of(one):
            return f"source.p.s.{one}" if one in EXTRACTS else f"model.p.{one}"

        return json.dumps(
            {
                "metadata": {"adapter_type": "postgres"},
                "sources": {
                    f"source.p.s.{one}": {"source_name": "s", "name": one, "schema": "s", "database": "raw"}
                    for one in EXTRACTS
                },
                "nodes": {
                    f"model.p.{name}": {"depends_on": {"nodes": [id_of(one) for one in reads]}}
                    for name, reads in self.reads.items()
                },
            }
        ).encode()

    def upstream(self, model):
        """Return the extracts that a model hangs on, by walking the graph as it was drawn."""
        found = set()
        for one in self.reads[model]:
            found |= {one} - self.optional if one in EXTRACTS else self.upstream(one)
        return found

    def pass_time(self):
        self.now += MINUTE

    def last(self, _instance, connection):
        return self.ended.get(connection)

    def keep(self, debts):
        for debt in debts:
            if debt.paid_by:
                self.ledger.pop(debt.key, None)
            else:
                self.ledger[debt.key] = debt

    def land(self, name):
        """Let an extract land by itself, and the hub see it."""
        self.pass_time()
        self.landed[name] += 1
        self.ended[name] = self.now
        self.pass_time()
        self.see()

    def see(self):
        self.keep(owed.landed(self.ledger.values(), self.last, self.now))

    # --- a run ---

    def tell(self, run, *items, built=()):
        decision = decide(run, items, self.rules, self.now)
        if decision is None:
            return run
        debts = owed.after(self.ledger, run, decision, {"marts": built}, self.last, self.now)
        self.keep(debts)
        step = decision.open.steps["marts"]
        if step.without and not run.steps["marts"].without:
            for model in self.reads:
                for extract in self.upstream(model) & set(step.without):
                    self.left[model, extract].append(self.landed[extract])
        return decision.open

    def hear(self, run, task, verb, answer, **more):
        heard = Heard(task=task, key=run.steps[task].key, verb=verb, answer=answer)
        return self.tell(run, heard, **more)

    def start(self, run, task):
        run = self.hear(run, task, Verb.CLAIM, Claim(baseline={}, call_deadline=self.now + CALL))
        return self.hear(run, task, Verb.START, {"id": task})

    def run(self, story, lands_between=()):
        """Make a run; ``story`` says of each extract whether it lands, fails, or lands late."""
        self.pass_time()
        self.runs += 1
        interval = Interval(start=self.now - MINUTE, end=self.now)
        run = create.new(
            self.pipeline, run_id=f"R{self.runs:03}", trigger=Trigger.MANUAL, interval=interval, now=self.now
        )
        run = self.tell(run, Begin())
        for name in EXTRACTS:
            run = self.start(run, name)
        late = [name for name in EXTRACTS if story[name] == "late"]
        for name in EXTRACTS:
            if name not in late:
                self.pass_time()
                run = self.end(run, name, story[name])
        if late and self.wait is not None:
            self.now += self.wait + MINUTE
            run = self.tell(run, None)
        if run.steps["marts"].state is StepState.READY:
            run = self.build(run, late, lands_between)
        for name in late:
            if run.steps[name].ended_at is None:
                self.pass_time()
                run = self.end(run, name, "lands")
        if run.steps["marts"].state is StepState.READY:
            run = self.build(run, (), lands_between)
        assert run.run.ended_at is not None
        return run

    def end(self, run, name, how):
        if how == "fails":
            return self.hear(run, name, Verb.POLL, Finished(outcome=Outcome.FAILED, retryable=False))
        self.landed[name] += 1
        self.ended[name] = self.now
        landing = Landing(connection=name, mark=f"{self.landed[name]:04}", ended_at=self.now)
        run = self.hear(run, name, Verb.POLL, Finished(outcome=OK, landing=landing))
        self.see()
        return run

    def build(self, run, late, lands_between):
        self.pass_time()
        run = self.start(run, "marts")
        task, step = run.pipeline.task("marts"), run.steps["marts"]
        left = partial.left_out(task, step.without)
        models = [one for one in self.reads if f"model.p.{one}" not in left]
        for model in models:  # no model runs on a required source that has not landed
            for extract in self.upstream(model):
                assert run.steps[extract].state is StepState.SUCCEEDED, (model, extract, step.without)
                assert extract not in late
        self.has_built(models)
        for name in lands_between:  # too late for what is being built
            self.land(name)
        self.pass_time()
        return self.hear(run, "marts", Verb.POLL, Finished(outcome=OK), built=[f"model.p.{one}" for one in models])

    def built_on(self, model, extract):
        return self.made.get(model, {}).get(extract, -1)

    def has_built(self, models):
        for model in models:
            self.made[model] = {extract: self.landed[extract] for extract in self.upstream(model)}

    def collect(self, lands_between=(), *, fails=False):
        """Make the run of what is owed, as the engine does; return whether there was any."""
        nodes = owed.payable(list(self.ledger.values()))
        if not nodes:
            return False
        models = [one.rpartition(".")[2] for one in nodes["marts"]]
        for model in models:  # again: not before everything it was left out for has landed
            for extract in self.upstream(model):
                built = self.built_on(model, extract)
                waits = [count for count in self.left[model, extract] if count >= built]
                news = self.landed[extract] >= self.midst.get((model, extract), 0) > built
                assert not waits or self.landed[extract] > min(waits) or news, (model, extract)
        mine = owed.covered(list(self.ledger.values()), nodes)
        self.runs += 1
        self.pass_time()
        made = create.new(
            create.owed(self.pipeline, nodes),
            run_id=f"R{self.runs:03}",
            trigger=Trigger.OWED,
            interval=owed.interval(mine),
            now=self.now,
        )
        self.keep(owed.tried(mine, made.run.id, self.last))
        run = self.tell(made, Begin())
        self.pass_time()
        run = self.start(run, "marts")
        if fails:
            run = self.hear(run, "marts", Verb.POLL, Finished(outcome=Outcome.FAILED, retryable=False))
            return True
        self.has_built(models)
        for name in lands_between:
            self.land(name)
            self.midst |= {(model, name): self.landed[name] for model in models if self.left[model, name]}
        self.pass_time()
        run = self.hear(run, "marts", Verb.POLL, Finished(outcome=OK), built=nodes["marts"])
        assert run.run.state is RunState.SUCCEEDED
        return True


@st.composite
def graphs(draw):
    reads = {}
    for at, name in enumerate(MODELS[: draw(st.integers(1, len(MODELS)))]):
        parents = st.sampled_from([*EXTRACTS, *MODELS[:at]])
        reads[name] = draw(st.lists(parents, max_size=3, unique=True))
    reads["all"] = list(EXTRACTS)  # so that every source has a reader, and the task waits for all
    return reads


ENDS = st.fixed_dictionaries({name: st.sampled_from(["lands", "lands", "fails", "late"]) for name in EXTRACTS})
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), ENDS, st.lists(st.sampled_from(EXTRACTS), max_size=1)),
        st.tuples(st.just("land"), st.sampled_from(EXTRACTS)),
        st.tuples(st.just("collect"), st.lists(st.sampled_from(EXTRACTS), max_size=2)),
        st.tuples(st.just("collect and fail")),
    ),
    max_size=12,
)


def play(world, events):
    for kind, *more in events:
        match kind:
            case "run":
                world.run(*more)
            case "land":
                world.land(*more)
            case "collect":
                world.collect(*more)
            case _:
                world.collect(fails=True)


@settings(deadline=None, max_examples=300)
@given(graphs(), st.frozensets(st.sampled_from(EXTRACTS), max_size=1), st.sampled_from([None, 5 * MINUTE]), EVENTS)
def test_nothing_is_built_before_its_inputs_have_landed_and_everything_is_once_they_have(reads, optional, wait, events):
    world = World(reads=reads, optional=optional, wait=wait)
    play(world, events)
    for name in EXTRACTS:  # at last all of them land
        world.land(name)
    rounds = 0
    while world.collect():
        rounds += 1
        assert rounds < 10
    assert world.ledger == {}
    for (model, extract), counts in world.left.items():
        assert not counts or world.built_on(model, extract) > max(counts), (model, extract)


@settings(deadline=None, max_examples=200)
@given(graphs(), EVENTS)
def test_a_landing_that_something_waits_for_is_built_without_waiting_for_another(reads, events):
    world = World(reads=reads)
    play(world, [event for event in events if event[0] != "collect and fail"])
    while world.collect():
        pass
    for (model, extract), counts in list(world.left.items()):
        others = world.upstream(model) - {extract}
        if all(world.landed[other] > max(world.left[model, other], default=-1) for other in others):
            for count in counts:
                assert world.landed[extract] <= count or world.built_on(model, extract) > count, (model, extract)


def test_what_lands_while_an_older_debt_is_being_built_is_built_after_it():
    fails = {"a": "fails", "b": "lands", "c": "lands"}
    world = World(reads={"m0": ["a"], "all": list(EXTRACTS)})
    world.run(fails)
    world.land("a")
    world.run(fails)  # the landing before it is owed already, and this run's is owed as well
    assert len(world.ledger) == 4
    assert world.collect(["a"])
    assert world.made["m0"] == {"a": 1}
    assert world.collect()
    assert (world.made["m0"], world.ledger) == ({"a": 2}, {})


def test_a_debt_that_has_not_landed_grows_longer_and_not_more():
    fails = {"a": "fails", "b": "lands", "c": "lands"}
    world = World(reads={"m0": ["a"], "all": list(EXTRACTS)})
    for _ in range(3):
        last = world.run(fails)
    debts = list(world.ledger.values())
    assert {debt.node for debt in debts} == {"model.p.m0", "model.p.all"}
    assert len(debts) == 2
    assert {debt.interval.start for debt in debts} == {T0}
    assert {debt.interval.end for debt in debts} == {last.run.interval.end}
