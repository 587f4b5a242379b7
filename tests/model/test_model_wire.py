"""The encoded form of tasks, which logs keep for years."""

import msgspec

from dp3.model.wire import decode_slice, encode_tasks
from kit.points import obs, plain, task


def test_fields_that_a_later_version_adds_at_the_end_of_a_task_are_left_out() -> None:
    sent = task("q", plain("p", 1), obs(2))
    (fields,) = msgspec.msgpack.decode(encode_tasks([sent]))
    later = msgspec.msgpack.encode([[*fields, {"cause": "a hook"}]])
    assert decode_slice(later) == [sent]


def test_a_task_of_an_earlier_version_lacks_fields_at_the_end() -> None:
    sent = task("q", plain("p", 1))
    (fields,) = msgspec.msgpack.decode(encode_tasks([sent]))
    assert decode_slice(msgspec.msgpack.encode([fields[:5]])) == [sent]
