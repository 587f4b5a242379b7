"""Scans that a state keeps, held against the whole history."""

from dp3.history import Params, history_params, segments_of
from dp3.history.scan import segments_since
from dp3.history.segments import Segment
from dp3.model.attrspec import AttrSpecObservations
from dp3.model.spec import ModelSpec
from dp3.store.ports.entities import Profile, Token
from dp3.store.ports.state import State

MOST = 10_000


def expect_scans_to_tell_the_truth(store: State, model: ModelSpec) -> int:
    """What holds at the moment of each scan, or later, is what it is in the whole history; returns how many
    scans there are."""
    return sum(_expect_of(store, model, etype) for etype in model.entities)


def _expect_of(store: State, model: ModelSpec, etype: str) -> int:
    params = {
        store.names.attr_id(etype, name): history_params(spec)
        for name, spec in model.entity_attributes[etype].items()
        if isinstance(spec, AttrSpecObservations)
    }
    keys = [key for key, _, _ in store.entities.page(etype, MOST)]
    decode = store.entities.decode_profile
    whole = {key: decode(found) for key, found in store.entities.profiles(keys, whole=True).items()}
    kept = {key: decode(found) for key, found in store.entities.profiles(keys).items()}
    return sum(
        _expect_one(whole[key], kept[key], attr, params[attr])
        for key in keys
        for attr in kept[key].scans
        if attr in params
    )


def _expect_one(whole: Profile, kept: Profile, attr: int, params: Params) -> int:
    scan, fresh = kept.scans[attr], dict(kept.observed).get(attr, [])
    if not scan.fits(params) or any(row[0] < scan.at for row in fresh):
        return 0

    def lasting(segments: list[Segment[Token]]) -> list[tuple[int, int, int, Token, int]]:
        return [one.row for one in segments if one.t2 + (params.post if one.c_sum else 0) >= scan.at]

    rows = dict(whole.observed).get(attr, [])
    assert lasting(segments_since(scan, fresh)) == lasting(segments_of(rows, params))
    return 1
