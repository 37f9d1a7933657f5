"""What an operation becomes in a run in shadow, in every connector there is."""

import pytest

from stackhub import registry
from stackhub.contract import Role

OPERATIONS = [
    pytest.param(found, word, id=f"{name}.{word}")
    for name in registry.installed()
    for found in (registry.load(name),)
    for word in found.operations
]


@pytest.mark.parametrize(("connector", "word"), OPERATIONS)
def test_what_watches_in_its_place_is_an_operation_that_is_its_own(connector, word):
    mine = connector.operations[word]
    if not mine.watch:
        return
    other = connector.operations[mine.watch]
    assert other.watch == mine.watch
    assert mine.role is other.role is Role.EXTRACT
    assert not other.cancellable
    assert set(other.options.model_fields) <= set(mine.options.model_fields), "it takes its options from this one's"


def test_every_extract_but_one_that_brings_nothing_in_is_watched():
    blind = {one.id for one in OPERATIONS if _of(one).role is Role.EXTRACT and not _of(one).watch}
    assert blind == {"airbyte.clear"}


def _of(one):
    connector, word = one.values
    return connector.operations[word]
