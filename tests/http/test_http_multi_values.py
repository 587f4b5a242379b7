"""Several values at a time stand in the order in which what holds began, whenever it came in."""

from typing import Any

from kit.http_runs import make_run
from kit.node import NOW, dp, obs

FIRST, SECOND, THIRD = "2020-01-01T11:20:00Z", "2020-01-01T11:40:00Z", NOW
POINTS = [
    obs("om", "zebra", FIRST, c=0.2),
    obs("om", "ape", SECOND, c=0.4),
    obs("om", "zebra", THIRD, c=0.6),
    obs("om", "a", THIRD, c=0.8),
]
ORDER, CONFIDENCES = ["zebra", "ape", "a"], [0.4, 0.4 * 40 / 60, 0.8]
"""The first value has the mean over an interval, because validities span its gap."""


def test_values_and_confidences_are_in_the_order_in_which_they_began_everywhere(make_node: Any) -> None:
    for arrival in (POINTS, POINTS[::-1], POINTS[2:] + POINTS[:2]):
        node = make_node()
        for point in (*arrival, dp("p", 1)):
            node.store_points(point)
        make_run(node)
        (listed,) = node.get("/entity/a/get").json()["data"]
        (stored,) = node.get("/entity/a/e1/snapshots").json()
        (as_of,) = node.get(f"/entity/a/get?at={NOW}").json()["data"]
        for found in (listed, stored, as_of):
            assert found["om"] == ORDER
            assert [round(c, 6) for c in found["om#c"]] == [round(c, 6) for c in CONFIDENCES]
        assert node.get("/entity/a/e1/get/om").json()["current_value"] == ORDER
