"""Whatever is done to a good configuration: it is one still, or every problem has a place. Nothing else is raised."""

import copy
import itertools
import re

import yaml
from config.fakes import BELL, GOOD, TAP, House
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stackhub.config.graph import cycles, in_order
from stackhub.config.yaml_nodes import load
from stackhub.errors import ConfigError
from stackhub.model import codec
from stackhub.model.pipeline import Pipeline

PLACE = re.compile(r"(pipelines/x\.yaml|[a-z.]+\.env)(:[0-9]+){0,2}|[A-Z_]+")
JUNK = [
    None,
    "",
    "x",
    "no",
    0,
    -1,
    1.5,
    True,
    [],
    {},
    ["x"],
    {"x": "y"},
    "${",
    "${NONE}",
    "{{ x }}",
    "07:30",
    "5m",
    "\u2028",
    10**19,
]
GOOD_DATA = load(GOOD.encode(), "x.yaml").data  # PyYAML's own reading would make a boolean of `on`
fast = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def ways(data, at=()):
    yield at
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield from ways(value, (*at, key))


WAYS = [way for way in ways(GOOD_DATA) if way]


def change(data, way, act, junk):
    holder = data
    for part in way[:-1]:
        try:
            holder = holder[part]
        except (KeyError, IndexError, TypeError):
            return
    try:
        if act == "remove":
            del holder[way[-1]]
        elif act == "rename" and isinstance(holder, dict):
            holder[f"{way[-1]}x"] = holder.pop(way[-1])
        else:
            holder[way[-1]] = junk
    except (KeyError, IndexError, TypeError):
        return


def outcome(house):
    """Return the configuration, or None where there are problems and each has a place and keeps secrets."""
    try:
        return house.read()
    except ConfigError as error:
        problems = error.problems
    assert problems
    for problem in problems:
        assert PLACE.fullmatch(problem.place), problem
        assert "\n" not in problem.text
        assert "cellar-secret" not in problem.text
    return None


mutation = st.tuples(st.sampled_from(WAYS), st.sampled_from(["remove", "rename", "put"]), st.sampled_from(JUNK))


@fast
@given(st.lists(mutation, max_size=5))
def test_any_change_of_values_gives_a_configuration_or_problems(tmp_path, mutations):
    data = copy.deepcopy(GOOD_DATA)
    for way, act, junk in mutations:
        change(data, way, act, copy.deepcopy(junk))
    house = House(tmp_path).write(tap=TAP, bell=BELL, p_x=yaml.safe_dump(data, allow_unicode=True))
    found = outcome(house)
    if not mutations:
        assert found is not None
    for name, pipeline in found.pipelines.items() if found else ():
        assert codec.load(Pipeline, found.texts[name]) == pipeline
        placed = set()
        for task in pipeline.tasks:
            assert {need.task for need in task.needs} <= placed
            placed.add(task.name)


@fast
@given(
    st.integers(0, len(GOOD)),
    st.integers(0, 30),
    st.text(st.characters(codec="utf-8"), max_size=5) | st.sampled_from(["[", "\t", "- ", ": ", "&a ", "*a", "<<: "]),
)
def test_any_change_of_characters_gives_a_configuration_or_problems(tmp_path, at, cut, put):
    house = House(tmp_path).write(tap=TAP, bell=BELL, p_x=GOOD[:at] + put + GOOD[at + cut :])
    outcome(house)


ENV = "TAP_API_KEY=abcdef # c\nTAP_PAGE=5\nexport TAP_API_URL='https://x'\nTAP_REGIONS=a,b\nTAP_LABELS={}\nTAP_HOOK=\n"


@fast
@given(
    st.integers(0, len(ENV)),
    st.integers(0, 12),
    st.text(st.characters(codec="utf-8"), max_size=5) | st.sampled_from(["'", '"', "=", "\n", "#", "_FILE"]),
)
def test_any_change_of_an_env_file_gives_a_configuration_or_problems(tmp_path, at, cut, put):
    outcome(House(tmp_path).write(tap=ENV[:at] + put + ENV[at + cut :]))


@fast
@given(
    st.dictionaries(
        st.sampled_from(
            [
                f"STACKHUB_{n}"
                for n in (
                    "DATABASE_URL",
                    "STATE_DIR",
                    "HOST",
                    "PORT",
                    "API_TOKEN",
                    "TIMEZONE",
                    "ALERTS",
                    "FALLBACK",
                    "GRACE",
                    "LOG_MAX",
                    "HEARTBEAT_URL",
                    "PUBLIC_URL",
                    "PORT_FILE",
                )
            ]
        ),
        st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=12),
    )
)
def test_any_environment_gives_a_configuration_or_problems(tmp_path, environ):
    house = House(tmp_path)
    house.environ = environ
    outcome(house)


names = st.sampled_from("abcdefg")
graphs = st.dictionaries(names, st.lists(names, unique=True, max_size=4))


def reaches(graph, start):
    seen, todo = set(), [start]
    while todo:
        todo += [n for n in graph.get(todo.pop(), ()) if n in graph and n not in seen and not seen.add(n)]
    return seen


@given(graphs)
def test_tasks_are_ordered_unless_they_stand_on_a_cycle(graph):
    order = in_order(graph)
    for at, name in enumerate(order):
        assert {need for need in graph[name] if need in graph} <= set(order[:at])
    bad = {name for name in graph if any(n in reaches(graph, n) for n in {name, *reaches(graph, name)})}
    assert set(order) == set(graph) - bad


@given(graphs)
def test_a_cycle_is_found_exactly_where_there_is_one_and_is_one(graph):
    found = cycles(graph)
    assert bool(found) == any(name in reaches(graph, name) for name in graph)
    for around in found:
        assert around[0] == around[-1]
        assert len(set(around)) == len(around) - 1
        assert all(b in graph[a] for a, b in itertools.pairwise(around))


@given(graphs)
def test_the_order_is_the_given_one_where_nothing_forbids_it(graph):
    rank = {name: at for at, name in enumerate(graph)}
    order = in_order(graph)
    for at, name in enumerate(order):
        ready = [n for n in order[at:] if {m for m in graph[n] if m in graph} <= set(order[:at])]
        assert name == min(ready, key=rank.__getitem__)
