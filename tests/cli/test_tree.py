"""The tree."""

from hypothesis import given
from hypothesis import strategies as st

from stackhub.cli.tree import tree
from stackhub.model.pipeline import Need, Pipeline, Task


@st.composite
def pipelines(draw):
    many = draw(st.integers(min_value=0, max_value=9))
    tasks = []
    for at in range(many):
        needs = draw(st.sets(st.integers(min_value=0, max_value=at - 1), max_size=3)) if at else set()
        needs = tuple(Need(task=f"t{need}") for need in sorted(needs))
        tasks.append(Task(name=f"t{at}", connector="shell", operation="run", instance="shell", needs=needs))
    return Pipeline(name="p", tasks=tuple(tasks))


def pipeline(**needs: list[str]) -> Pipeline:
    tasks = [
        Task(name=name, connector="c", operation="o", instance="c", needs=tuple(Need(task=one) for one in wanted))
        for name, wanted in needs.items()
    ]
    return Pipeline(name="p", tasks=tuple(tasks))


def drawn(graph: Pipeline) -> list[str]:
    return [f"{branch.prefix}{branch.task.name}" for branch in tree(graph)]


@given(pipelines())
def test_every_task_is_drawn_once_and_below_everything_it_needs(graph):
    names = [branch.task.name for branch in tree(graph)]
    assert sorted(names) == sorted(task.name for task in graph.tasks)
    for task in graph.tasks:
        assert all(names.index(need.task) < names.index(task.name) for need in task.needs)


@given(pipelines())
def test_every_branch_is_an_edge(graph):
    above: dict[int, str] = {}
    for branch in tree(graph):
        if branch.depth:
            assert above[branch.depth - 1] in {need.task for need in branch.task.needs}
        else:
            assert not branch.task.needs
        above[branch.depth] = branch.task.name


def test_a_diamond_hangs_from_the_last_of_its_needs():
    assert drawn(pipeline(a=[], b=["a"], c=["a"], d=["b", "c"])) == ["a", "├─ b", "└─ c", "   └─ d"]


def test_what_stands_beside_a_branch_has_its_line_drawn_through():
    assert drawn(pipeline(a=[], b=["a"], x=["b"], c=["a"])) == ["a", "├─ b", "│  └─ x", "└─ c"]
