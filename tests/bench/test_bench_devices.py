"""The data of the benchmarks about snapshots."""

from collections import Counter
from datetime import UTC, datetime

import msgspec

from dp3.bench.devices import (
    BATCH,
    CHAIN,
    Changed,
    Observed,
    Part,
    Varied,
    address_of,
    eid_of,
    hostname_of,
    is_linked,
    load_of,
    parts,
    temperature_of,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_an_observed_device_has_ten_minutes_of_five_attributes():
    points = list(Observed(NOW).points()(600))

    assert Counter(point["attr"] for point in points) == {
        "load": 10, "temp": 10, "os": 10, "status": 10, "tags": 10,
    }  # fmt: skip
    assert {point["id"] for point in points} == {"dev-600"}
    assert points[0]["t1"] == "2026-01-01T11:50:00.000Z"
    assert points[9]["t2"] == "2026-01-01T12:00:00.000Z"


def test_the_newest_value_is_that_of_the_last_observation():
    devices = Observed(NOW)

    last = [point["v"] for point in devices.points()(7) if point["attr"] == "os"][-1]

    assert devices.newest("os", 7) == last


def test_the_first_half_of_a_thousand_devices_is_linked_in_chains_of_four():
    linked = [i for i in range(1_000) if is_linked(i)]

    assert len(linked) == 375
    assert max(linked) == 498
    assert linked[:6] == [0, 1, 2, CHAIN, CHAIN + 1, CHAIN + 2]


def test_a_linked_device_points_to_the_next_one():
    (link,) = [point for point in Observed(NOW).points()(5) if point["attr"] == "peer"]

    assert link["v"] == {"eid": "dev-6"}


def test_fewer_attributes_and_observations_can_be_had():
    points = list(Observed(NOW, observations=1, attrs=("load", "os")).points()(600))

    assert [point["attr"] for point in points] == ["load", "os"]


def test_a_varied_device_has_the_values_that_questions_expect():
    values = {point["attr"]: point["v"] for point in Varied(NOW).points()(1_234)}

    assert values["hostname"] == hostname_of(1_234) == "host-0001234"
    assert values["address"] == str(address_of(1_234)) == "10.0.4.210"
    assert values["load"] == load_of(1_234)
    assert values["temp"] == temperature_of(1_234)


def test_loads_and_temperatures_are_spread_evenly():
    assert set(Counter(map(load_of, range(1_000))).values()) == {10}
    assert set(Counter(map(temperature_of, range(8_000))).values()) == {1}


def test_a_change_is_one_observation_of_the_last_second():
    (point,) = Changed(NOW, load=99).points()(3)

    assert (point["id"], point["attr"], point["v"]) == ("dev-3", "load", 99)
    assert (point["t1"], point["t2"]) == ("2026-01-01T11:59:59.000Z", "2026-01-01T12:00:00.000Z")


def test_parts_hold_every_device_once():
    bodies = [body for part in parts(Changed(NOW, load=1), range(2_500), 3) for body in part]

    points = [point for _, text in bodies for point in msgspec.json.decode(text)]
    assert sorted(point["id"] for point in points) == sorted(map(eid_of, range(2_500)))


def test_requests_of_a_part_are_of_bounded_size_and_say_how_much_they_hold():
    bodies = list(Part(Changed(NOW, load=1), range(2_500)))

    assert [count for count, _ in bodies] == [BATCH, BATCH, 500]
    assert [len(msgspec.json.decode(text)) for _, text in bodies] == [BATCH, BATCH, 500]
