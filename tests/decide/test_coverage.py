"""What check says of pipelines whose trouble nobody would hear of."""

from datetime import timedelta

import pytest

from stackhub.decide.coverage import uncovered
from stackhub.model.pipeline import Pipeline, Route, Sla, Told

SHOP = Pipeline(name="shop")
PROMISED = Pipeline(name="shop", owner="Finance", sla=Sla(max_duration=timedelta(hours=1)))
ALL = Route(to="slack")


def only(*kinds, owners=()):
    return Route(to="slack", on=frozenset(kinds), owners=owners)


@pytest.mark.parametrize(
    ("pipeline", "routes", "says"),
    [
        (SHOP, [ALL], []),
        (PROMISED, [ALL], []),
        (SHOP, [], ["nobody is told when shop fails: add alerts"]),
        (SHOP, [only(Told.LATE)], ["when shop fails: no route has failed under on:"]),
        (SHOP, [only(Told.FAILED)], []),
        (PROMISED, [only(Told.FAILED)], ["when shop is late: no route has late under on:"]),
        (PROMISED, [only(Told.FAILED), only(Told.LATE)], []),
        (PROMISED, [only(Told.FAILED, Told.LATE, owners=("finance",))], []),
        (
            PROMISED,
            [only(Told.FAILED, Told.LATE, owners=("data",))],
            ["its owner is Finance, and the routes that hear of it are for data alone", "when shop is late"],
        ),
        (
            SHOP,
            [only(Told.FAILED, owners=("b", "a"))],
            ["it has no owner, and the routes that hear of it are for a, b"],
        ),
        (SHOP, [only(Told.FAILED, owners=("b",)), only(Told.FAILED)], []),
    ],
)
def test_trouble_that_reaches_nobody_is_named(pipeline, routes, says):
    found = uncovered(pipeline, routes)
    assert len(found) == len(says)
    assert all(part in text for part, text in zip(says, found, strict=True))
