"""The fast path of `POST /datapoints`: from the body's bytes to data-points in wire form.

It takes what is obviously right and raises `Reject` for everything else; then `validation` decides. Both
give the same result for everything that this one takes.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from dp3.clock import EPOCH, FIRST_US, LAST_US
from dp3.http.pieces import PIECE_BYTES, SMALL_BODY, Sent
from dp3.http.remarks import KEYS, Remarks
from dp3.http.writing import BYTES_AT_ONCE, Groups
from dp3.model.attrspec import (
    AttrSpecObservations,
    AttrSpecPlain,
    AttrSpecReadOnly,
    AttrSpecTimeseries,
    AttrSpecType,
)
from dp3.model.errors import Reject
from dp3.model.spec import ModelSpec
from dp3.model.unix_time import unix_us
from dp3.model.unknown_keys import UnknownKeys
from dp3.model.wire import CONFIDENCE_UNIT, WirePoint


class SentPoint(msgspec.Struct, gc=False):
    """A data-point as clients send it."""

    type: str
    id: Any
    attr: str
    v: Any
    t1: datetime | int | float | None = None
    t2: datetime | int | float | None = None
    c: float = 1.0
    src: str | None = None


class ExactPoint(SentPoint, gc=False, forbid_unknown_fields=True):
    """A data-point without unknown keys."""


Plan = Callable[[SentPoint, Remarks], WirePoint]

_decode_exact = msgspec.json.Decoder(list[ExactPoint]).decode
_decode_points = msgspec.json.Decoder(list[SentPoint]).decode
_decode_keys = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode

_KEYS = frozenset(KEYS)
_HAS_UNKNOWN_KEY = "Object contains unknown field"
"""The decoder's message begins so."""

# The decoder rounds times to microseconds where the slow path cuts: leave such times to the latter.
_below_a_microsecond = re.compile(rb'\.\d{7,}["Zz+-]').search

_SPACE = rb"[ \t\n\r]*+"
_begin = re.compile(_SPACE + rb"\[" + _SPACE + rb"(?=\{" + _SPACE + rb'"(\w{1,4})")').match
_BOUNDARIES = {
    name.encode(): re.compile(
        rb"\}(" + _SPACE + rb"," + _SPACE + rb")(?=\{" + _SPACE + rb'"' + name.encode() + rb'")'
    ).search
    for name in SentPoint.__struct_fields__
}
"""By the key that data-points begin with: what looks like the end of one and the beginning of the next."""


class Converter:
    """Converts bodies for one model. A value may have `max_value` bytes of JSON."""

    def __init__(self, model: ModelSpec, max_value: int) -> None:
        self._max_value = max_value
        self._plans: Mapping[tuple[str, str], tuple[Callable[[Any], int | str], Plan]] = {
            (etype, attr): (model.entity(etype).accept_eid, _plan(etype, spec))
            for (etype, attr), spec in model.attributes.items()
            if not isinstance(spec, AttrSpecReadOnly)
        }

    def convert(self, body: Sent, remarks: Remarks) -> Iterator[Groups]:
        """All data-points of a body by entity, those of about `BYTES_AT_ONCE` at a time. Raises `Reject`."""
        groups: dict[tuple[str, int | str], list[WirePoint]] = {}
        taken = 0
        try:
            for piece in _pieces(body, self._max_value):
                if _below_a_microsecond(piece):
                    raise Reject
                if not piece.isascii():
                    piece.decode()  # the decoder does not look at what it ignores
                self._add(_decode(piece, remarks), groups, remarks)
                taken += len(piece)
                if taken >= BYTES_AT_ONCE:
                    yield groups
                    groups, taken = {}, 0
        except (ValueError, RecursionError):  # among them what is not UTF-8
            raise Reject from None
        yield groups

    def _add(
        self,
        points: Sequence[SentPoint],
        groups: dict[tuple[str, int | str], list[WirePoint]],
        remarks: Remarks,
    ) -> None:
        plans = self._plans
        for point in points:
            found = plans.get((point.type, point.attr))
            if found is None:
                raise Reject
            accept_eid, plan = found
            entity = (point.type, accept_eid(point.id))
            same = groups.get(entity)
            if same is None:
                groups[entity] = [plan(point, remarks)]
            else:
                same.append(plan(point, remarks))


def _decode(piece: Sent, remarks: Remarks) -> Sequence[SentPoint]:
    """The data-points of a piece. Raises `ValueError`. Unknown keys cost time only where there are some:
    then the piece is decoded again, and once more for its keys."""
    try:
        return _decode_exact(piece)
    except msgspec.ValidationError as error:
        if remarks.refuses or not str(error).startswith(_HAS_UNKNOWN_KEY):
            raise
    points = _decode_points(piece)
    for point, keys in zip(points, _decode_keys(piece), strict=True):
        for key in keys.keys() - _KEYS:
            remarks.unknown_key(key, point.src)
    return points


def _pieces(body: Sent, largest: int) -> Iterator[Sent]:
    """The data-points of a body in arrays of bounded size, none of more than `largest` bytes. Raises
    `Reject`.

    A piece ends where the end of a data-point seems to be. If that is in the middle of a value, the piece is
    not JSON: whoever decodes it refuses it. If it is JSON, it ends where a data-point does, because what came
    before it did.
    """
    if len(body) <= min(SMALL_BODY, largest):
        yield body
        return
    found = _begin(body, 0, PIECE_BYTES)
    find = _BOUNDARIES.get(found[1]) if found is not None else None
    if found is None or find is None:
        raise Reject
    start, size = found.end(), min(PIECE_BYTES, largest // 2)
    while len(body) - start > 2 * size:
        boundary = find(body, start + size, start + largest)
        if boundary is None:
            break
        yield b"".join((b"[", body[start : boundary.start(1)], b"]"))
        start = boundary.end()
    if len(body) - start > largest:
        raise Reject
    yield b"[" + body[start:]


def _plan(etype: str, spec: AttrSpecType) -> Plan:
    plan = _value_plan(spec)
    return plan if spec.unknown_keys is None else _looking(plan, spec.unknown_keys, f"{etype}.{spec.id}")


def _looking(plan: Plan, unknown_keys: UnknownKeys, attr: str) -> Plan:
    """The plan, and remarks about keys in values."""

    def plan_and_look(point: SentPoint, remarks: Remarks) -> WirePoint:
        made = plan(point, remarks)
        if found := unknown_keys(point.v):
            remarks.unknown_in_value(attr, found, point.src)
        return made

    return plan_and_look


def _value_plan(spec: AttrSpecType) -> Plan:
    if isinstance(spec, AttrSpecPlain):
        return _plain_plan(spec)
    if isinstance(spec, AttrSpecObservations):
        return _observations_plan(spec)
    return _timeseries_plan(spec)


def _plain_plan(spec: AttrSpecPlain) -> Plan:
    accept, attr = spec.accept, spec.id

    def plan(point: SentPoint, remarks: Remarks) -> WirePoint:
        if point.t2 is not None:
            raise Reject
        if point.t1 is not None or point.c != 1.0:
            if has_time := point.t1 is not None:
                _moment(point.t1)
            remarks.plain(point.src, has_time=has_time, has_confidence=point.c != 1.0)
        return WirePoint(attr, accept(point.v), None, None, _confidence(point.c), point.src)

    return plan


def _observations_plan(spec: AttrSpecObservations) -> Plan:
    accept, attr = spec.accept, spec.id

    def plan(point: SentPoint, remarks: Remarks) -> WirePoint:
        t1 = _moment(point.t1)
        t2 = _moment(point.t2) if point.t2 else t1
        if t2 < t1:
            raise Reject
        if t2 > remarks.latest:
            remarks.ahead(t2, point.src)
        return WirePoint(attr, accept(point.v), t1, t2, _confidence(point.c), point.src)

    return plan


def _timeseries_plan(spec: AttrSpecTimeseries) -> Plan:
    accept, accept_times, attr = spec.accept, spec.accept_times, spec.id

    def plan(point: SentPoint, remarks: Remarks) -> WirePoint:
        t1 = _moment(point.t1)
        v = accept(point.v)
        t2 = accept_times(t1, _moment(point.t2) if point.t2 else None, v)
        if t2 > remarks.latest:
            remarks.ahead(t2, point.src)
        return WirePoint(attr, v, t1, t2, _confidence(point.c), point.src)

    return plan


def _moment(sent: datetime | int | float | None) -> int:
    """A time in µs; without zone it is UTC."""
    if type(sent) is not datetime:
        return _from_number(sent)
    moment = sent if sent.tzinfo is not None else sent.replace(tzinfo=UTC)
    delta = moment - EPOCH
    us = (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
    if not FIRST_US <= us <= LAST_US:
        raise Reject
    return us


def _from_number(sent: Any) -> int:
    if sent is None:
        raise Reject
    try:
        return unix_us(sent)
    except ValueError:
        raise Reject from None


def _confidence(c: float) -> int:
    if not 0.0 <= c <= 1.0:
        raise Reject
    return CONFIDENCE_UNIT if c == 1.0 else round(c * CONFIDENCE_UNIT)
