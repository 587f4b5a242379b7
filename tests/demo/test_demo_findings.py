"""Reading profiles back."""

from dp3.demo.findings import Findings, all_values, latest

FULL = Findings(
    counts={"host": 1},
    hosts={"here": {"os": {"v": "Linux"}}},
    processes={"a:1": {"cpu_percent": [{"v": 1.0}], "new_peer": [{"v": {"eid": "::1"}}]}},
    services={"tcp/22": {"name": {"v": "ssh"}, "exposure": [{"v": "network"}]}},
    peers={"::1": {"scope": {"v": "loopback"}, "role": [{"v": "client"}]}},
)


def test_nothing_is_missing_when_every_part_left_its_trace():
    assert FULL.missing() == []


def test_every_part_that_left_no_trace_is_named():
    assert len(Findings({}, {}, {}, {}, {}).missing()) == 5


def test_derived_attributes_must_be_together_in_one_profile():
    halves = {"tcp/22": {"name": {"v": "ssh"}}, "tcp/80": {"exposure": [{"v": "network"}]}}
    findings = Findings(FULL.counts, FULL.hosts, FULL.processes, halves, FULL.peers)
    assert findings.missing() == ["no service with what the module services derives"]


def test_the_latest_value_is_that_which_ends_last():
    history = [{"t2": "2026-01-01T00:00:02Z", "v": 2}, {"t2": "2026-01-01T00:00:01Z", "v": 1}]
    assert latest({"state": history}, "state") == 2
    assert latest({"os": {"v": "Linux"}}, "os") == "Linux"
    assert latest({}, "os") is None


def test_values_that_end_together_are_all_the_latest():
    history = [{"t2": "2026-01-01T00:00:02Z", "v": v} for v in ("x", "y")]
    assert latest({"role": history}, "role") == ["x", "y"]


def test_repeated_values_are_listed_once():
    assert list(all_values({"ports": [{"v": 22}, {"v": 80}, {"v": 22}]}, "ports")) == [22, 80]
