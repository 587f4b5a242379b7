"""Bodies of entries."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dp3.log.framing import MAX_PARTITION, body_of, frame, merge_slices, stored_form, unframe

PARTITIONS = st.integers(0, MAX_PARTITION)
SLICES = st.dictionaries(PARTITIONS, st.binary(max_size=40), max_size=8)
TASKS = st.lists(st.one_of(st.integers(0, 300), st.text(max_size=3)), max_size=40)


@given(SLICES)
def test_unframing_gives_back_what_was_framed_in_its_order(slices: dict[int, bytes]) -> None:
    found = unframe(frame(slices))
    assert found == slices
    assert list(found) == list(slices)


@given(SLICES, st.data())
def test_truncated_body_is_refused(slices: dict[int, bytes], data: st.DataObject) -> None:
    body = frame(slices)
    with pytest.raises(ValueError, match="damaged body"):
        unframe(body[: data.draw(st.integers(0, len(body) - 1))])


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_refused_or_are_a_body(body: bytes) -> None:
    try:
        slices = unframe(body)
    except ValueError:
        return
    assert frame(slices) == body


BODIES = st.one_of(
    SLICES.map(frame),
    st.builds(lambda part, times: frame({7: part * times}), st.binary(max_size=9), st.integers(0, 2_000)),
)


@given(BODIES)
def test_a_body_comes_back_from_the_form_in_which_it_is_stored_which_is_never_longer(body: bytes) -> None:
    stored = stored_form(body)
    assert body_of(stored) == body
    assert len(stored) <= len(body)


def test_a_body_that_can_not_be_compressed_is_stored_as_it_is() -> None:
    body = frame({1: random.Random(1).randbytes(50_000)})
    assert stored_form(body) == body


@given(st.data())
def test_a_compressed_body_that_is_cut_or_followed_by_something_is_refused_or_the_same(
    data: st.DataObject,
) -> None:
    body = frame({1: b"data-point " * 1_000})
    stored = stored_form(body)
    assert len(stored) < len(body) // 10
    cut = stored[: data.draw(st.integers(6, len(stored) - 1))]
    with pytest.raises(ValueError, match="damaged body"):
        body_of(cut)
    with pytest.raises(ValueError, match="damaged body"):
        body_of(stored[:2] + (len(body) + 1).to_bytes(4, "little") + stored[6:])


@given(st.binary(max_size=60))
def test_arbitrary_bytes_behind_the_mark_are_refused(rest: bytes) -> None:
    with pytest.raises(ValueError, match="damaged body"):
        unframe(body_of(b"\xff\xff" + rest))


def test_no_memory_is_taken_for_what_a_frame_claims_to_hold() -> None:
    frame_of_an_exabyte = b"\x28\xb5\x2f\xfd\xe0" + (1 << 60).to_bytes(8, "little") + b"\x01\x00\x00"
    with pytest.raises(ValueError, match="it should have 100 bytes"):
        body_of(b"\xff\xff" + (100).to_bytes(4, "little") + frame_of_an_exabyte)


@given(st.lists(st.dictionaries(st.integers(0, 3), TASKS, max_size=3), max_size=5))
def test_merging_joins_the_lists_of_each_partition_in_order(parts: list[dict[int, list[object]]]) -> None:
    expected: dict[int, list[object]] = {}
    for part in parts:
        for partition, tasks in part.items():
            expected.setdefault(partition, []).extend(tasks)
    encoded = [{p: msgspec.msgpack.encode(tasks) for p, tasks in part.items()} for part in parts]
    merged = merge_slices(encoded)
    assert {p: msgspec.msgpack.decode(tasks) for p, tasks in merged.items()} == expected


@pytest.mark.parametrize("count", [15, 16, 65_535, 65_536])
def test_merging_works_for_every_length_of_header(count: int) -> None:
    one = msgspec.msgpack.encode([0] * (count - 1))
    merged = merge_slices([{0: one}, {0: msgspec.msgpack.encode([1])}])
    assert msgspec.msgpack.decode(merged[0]) == [0] * (count - 1) + [1]


def test_merging_what_is_no_list_is_refused() -> None:
    with pytest.raises(ValueError, match="encoded list of tasks"):
        merge_slices([{0: b"\x01"}, {0: b"\x90"}])
