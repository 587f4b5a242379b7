"""Rules of the small functions for modules."""

import json
import logging
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dp3.common.control import ControlAction, ControlMessage
from dp3.common.mac_address import MACAddress
from dp3.common.types import DP3Encoder
from dp3.common.utils import (
    batched,
    bytes2int,
    conv_from_json,
    conv_to_json,
    entity_expired,
    int2bytes,
    int2ipstr,
    ipstr2int,
    parse_rfc_time,
    suppress_dependency_loggers,
    time_duration_pattern,
)

NOW = datetime(2020, 1, 1)


def test_batches_are_lists_of_n_and_a_rest() -> None:
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batched([], 2)) == []


def test_batches_of_nothing_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="at least one"):
        batched([1], 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-01-01T00:00:00Z", NOW),
        ("2020-01-01T00:00:00", NOW),
        ("2020-01-01 00:00:00.5", datetime(2020, 1, 1, 0, 0, 0, 500000)),
        ("2020-01-01t02:00:00.25+02:00", datetime(2020, 1, 1, 0, 0, 0, 250000)),
        ("2019-12-31 19:00:00.1234567-05:00", datetime(2020, 1, 1, 0, 0, 0, 123456)),
    ],
)
def test_rfc_times_become_naive_utc(text: str, expected: datetime) -> None:
    assert parse_rfc_time(text) == expected


@pytest.mark.parametrize(
    "text", ["2020-01-01", "2020-01-01T00:00", "2020-01-01T00:00:00 Z", "2020-13-01T00:00:00Z", "now", ""]
)
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_rfc_time(text)


@given(st.integers())
def test_integers_survive_the_shortest_bytes(number: int) -> None:
    data = int2bytes(number)
    assert bytes2int(data) == number
    assert len(data) == 1 or not -(1 << (8 * len(data) - 9)) <= number < 1 << (8 * len(data) - 9)


def test_addresses_become_numbers_and_back() -> None:
    assert ipstr2int("10.0.0.1") == 167772161
    assert int2ipstr(167772161) == "10.0.0.1"


def test_times_and_durations_survive_json() -> None:
    value = {"at": NOW, "aware": NOW.replace(tzinfo=UTC), "for": timedelta(days=-1, microseconds=1), "n": 1}
    assert json.loads(json.dumps(value, default=conv_to_json), object_hook=conv_from_json) == value
    with pytest.raises(TypeError, match="not JSON serializable"):
        conv_to_json(object())


def test_entity_expires_with_its_last_token() -> None:
    earlier, later = NOW - timedelta(1), NOW + timedelta(1)
    assert entity_expired(NOW, {"#ttl": {"a": earlier}})
    assert not entity_expired(NOW, {"#ttl": {"a": earlier, "b": later}})
    assert not entity_expired(NOW, {})


def test_encoder_writes_times_without_zone_and_addresses_as_text() -> None:
    plus_two = timezone(timedelta(hours=2))
    values = [
        NOW,
        NOW.replace(hour=2, tzinfo=plus_two),
        IPv4Address("1.2.3.4"),
        MACAddress("AA:00:00:00:00:01"),
    ]
    assert json.loads(json.dumps(values, cls=DP3Encoder)) == [
        "2020-01-01T00:00:00.000",
        "2020-01-01T00:00:00.000",
        "1.2.3.4",
        "aa:00:00:00:00:01",
    ]
    assert json.dumps(timedelta(minutes=1), cls=DP3Encoder) == "60.0"
    with pytest.raises(TypeError):
        json.dumps(object(), cls=DP3Encoder)


def test_duration_pattern_takes_digits_and_a_unit() -> None:
    assert [bool(time_duration_pattern.match(text)) for text in ("5m", " 1d", "0", "1.5h", "5 s", "5w")] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]


def test_loggers_of_dependencies_can_be_quietened(request: pytest.FixtureRequest) -> None:
    for name in ("requests", "urllib3", "amqpstorm", "pymongo"):
        logger = logging.getLogger(name)
        request.addfinalizer(partial(logger.setLevel, logger.level))
    suppress_dependency_loggers()
    assert logging.getLogger("urllib3").level == logging.WARNING


def test_control_message_is_parsed_from_its_json() -> None:
    message = ControlMessage.model_validate_json('{"action":"refresh_module_config","kwargs":{"module":"m"}}')
    assert message.action is ControlAction.refresh_module_config
    assert message.kwargs == {"module": "m"}
    assert ControlMessage(action=ControlAction.make_snapshots).kwargs == {}
