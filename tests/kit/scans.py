"""Scans that a state keeps, held against the whole history."""

from collections.abc import Iterable

from dp3.history import Params, history_params, segments_of, winner_until, winners_until
from dp3.history.scan import segments_since
from dp3.history.segments import Segment, SegmentRow
from dp3.model.attrspec import AttrSpecObservations
from dp3.model.spec import ModelSpec
from dp3.store.ports.entities import Profile, Token
from dp3.store.ports.state import State

MOST = 10_000


def expect_scans_to_tell_the_truth(store: State, model: ModelSpec, moments: Iterable[int] = ()) -> int:
    """What holds at the moment of each scan, or later, and what is told of some moments, is what it is in the
    whole history; returns how many scans there are, and answers."""
    return sum(_expect_of(store, model, etype, moments) for etype in model.entities)


def _expect_of(store: State, model: ModelSpec, etype: str, moments: Iterable[int]) -> int:
    params = {
        store.names.attr_id(etype, name): history_params(spec)
        for name, spec in model.entity_attributes[etype].items()
        if isinstance(spec, AttrSpecObservations)
    }
    keys = [key for key, _, _ in store.entities.page(etype, MOST)]
    decode = store.entities.decode_profile
    whole = {key: decode(found) for key, found in store.entities.profiles(keys, whole=True).items()}
    kept = {key: decode(found) for key, found in store.entities.profiles(keys).items()}
    scans = sum(
        _expect_one(whole[key], kept[key], attr, params[attr])
        for key in keys
        for attr in kept[key].scans
        if attr in params
    )
    answers = 0
    for moment in moments:
        for key, found in store.entities.profiles(keys, moment=moment).items():
            for attr, told in decode(found).told.items():
                if attr in params and told.fits(params[attr]):
                    answers += 1
                    rows = dict(whole[key].observed).get(attr, [])
                    assert (told.winners, told.until) == _answer(rows, params[attr], moment)
    return scans + answers


def _answer(
    rows: list[SegmentRow[Token]], params: Params, moment: int
) -> tuple[tuple[SegmentRow[Token], ...], int | None]:
    segments = segments_of(rows, params)
    if params.multi_value:
        winners, change = winners_until(segments, moment, params)
        return tuple(one.row for one in winners), change
    winner, change = winner_until(segments, moment, params)
    return (() if winner is None else (winner.row,)), change


def _expect_one(whole: Profile, kept: Profile, attr: int, params: Params) -> int:
    scan, fresh = kept.scans[attr], dict(kept.observed).get(attr, [])
    if not scan.fits(params) or any(row[0] < scan.at for row in fresh):
        return 0

    def lasting(segments: list[Segment[Token]]) -> list[tuple[int, int, int, Token, int]]:
        return [one.row for one in segments if one.t2 + (params.post if one.c_sum else 0) >= scan.at]

    rows = dict(whole.observed).get(attr, [])
    assert lasting(segments_since(scan, fresh)) == lasting(segments_of(rows, params))
    return 1


def whole_history(
    store: State, etype: str, eid: str, attr: str, params: Params
) -> list[Segment[bytes]] | None:
    """All segments of an attribute, from everything that is stored; None if there is no such entity."""
    rows, number = store.entities.profile(etype, eid), store.names.attr_id(etype, attr)
    if rows is None:
        return None
    stored = [(t1, t2, c or 0, v, 1) for _, _, of, t1, t2, c, v in rows.history if of == number]
    for of, v, some in rows.packed:
        stored += [(t1, t2, c or 0, v, n) for t1, t2, c, n in some if of == number]
    return segments_of(stored, params)
