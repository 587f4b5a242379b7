"""Current values of an entity at the time of a run, from the rows of its profile. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dp3.engine.jobs.snapshots.doc import Doc
from dp3.history import Params, history_params, segments_of, winner_until, winners_until
from dp3.history.confidence import Terms, terms_of
from dp3.history.scan import Scan, segments_since
from dp3.history.segments import SegmentRow
from dp3.model.attrspec import AttrSpecObservations, AttrSpecPlain, AttrSpecReadOnly
from dp3.model.spec import ModelSpec
from dp3.store.ports.entities import Entities, Profile, Token

NO_MIRRORS: Mapping[str, list[Any]] = {}

NO_PROFILE = Profile(key=0, created=0)
"""The profile of an entity that does not exist but is linked to."""


class AttrPlan(NamedTuple):
    """One attribute with a current value. `number` is its number in the state; mirrors have none. `params`
    tells how to read the history of an observations attribute, other kinds have none."""

    name: str
    number: int | None
    params: Params | None


@dataclass(frozen=True, slots=True)
class ValuePlan:
    """An entity type as `compute` needs it: attributes in the order of the model. `decode` and
    `encode`: the tokens of the state to wire values and back."""

    etype: str
    int_eid: bool
    attrs: tuple[AttrPlan, ...]
    decode: Callable[[Token], Any]
    encode: Callable[[Any], Token]

    def eid(self, text: str) -> int | str:
        """The wire id of an entity from its text in the state; one from before ids became integers stays as
        it is."""
        if not self.int_eid:
            return text
        try:
            return int(text)
        except ValueError:
            return text


def eid_order(eid: int | str) -> tuple[bool, int | str]:
    """The key to sort ids in wire form by: there may be texts among integers."""
    return isinstance(eid, str), eid


class Computed(NamedTuple):
    """Values and terms as in `Doc`. `next_change`: the earliest time (µs) after the run at which time alone
    changes a value or makes other terms decide its confidence; None for never."""

    values: dict[str, Any]
    terms: dict[str, Terms | list[Terms]]
    next_change: int | None

    @property
    def doc(self) -> Doc:
        """The snapshot that is stored if no hook changes it."""
        return Doc(self.values, self.terms)


def plan_values(model: ModelSpec, etype: str, numbers: Mapping[str, int], entities: Entities) -> ValuePlan:
    """The plan of an entity type; `numbers` are those of its attributes in the state (mirrors not needed),
    `entities` have its tokens.

    Raises `KeyError` for an unknown type and for an attribute without a number.
    """
    attrs = []
    for name, spec in model.entity_attributes[etype].items():
        if isinstance(spec, AttrSpecReadOnly):
            attrs.append(AttrPlan(name, None, None))
        elif isinstance(spec, AttrSpecObservations):
            attrs.append(AttrPlan(name, numbers[name], history_params(spec)))
        elif isinstance(spec, AttrSpecPlain):
            attrs.append(AttrPlan(name, numbers[name], None))
    int_eid = str(model.entities[etype].id_data_type) == "int"
    return ValuePlan(etype, int_eid, tuple(attrs), entities.decode_value, entities.encode_value)


def told(entities: Entities, profile: Profile, plan: ValuePlan, t: int, *, later: bool = True) -> Profile:
    """The profile with all that tells the values at `t` (µs), and `later`: scans that can not tell them are
    replaced by earlier ones, or by the whole history."""
    untold = _untold(profile, plan, t) if profile.scans or profile.told else None
    return entities.complete(profile, untold, t, later=later) if untold else profile


def _untold(profile: Profile, plan: ValuePlan, t: int) -> dict[int, Params]:
    """Attributes of which a scan is at a later moment, or it, or what it tells, was made with other
    parameters, or it has not seen rows that begin before it."""
    scans, observed = profile.scans, dict(profile.observed)
    untold = {}
    for _, number, params in plan.attrs:
        if params is None:
            continue
        if number in profile.told:
            if not profile.told[number].fits(params):
                untold[number] = params
        elif number in scans:
            scan = scans[number]
            first = min(observed[number])[0] if number in observed else t
            if min(first, t) < scan.at or not scan.fits(params):
                untold[number] = params
    return untold


def compute(
    eid: int | str, profile: Profile, plan: ValuePlan, t: int, mirrors: Mapping[str, list[Any]] = NO_MIRRORS
) -> Computed:
    """The current values of an entity at `t` (µs): `eid` (wire form) first, then attributes in the order of
    the model.

    `mirrors` are the values of mirror attributes, `[{"eid": …}, …]`; those not given are empty lists.
    """
    plain = {attr: v for attr, _, _, v in profile.plain}
    observed, scans, told = dict(profile.observed), profile.scans, profile.told
    value_of = plan.decode
    values: dict[str, Any] = {"eid": eid}
    terms: dict[str, Terms | list[Terms]] = {}
    changes = []
    for name, number, params in plan.attrs:
        if number is None:
            values[name] = mirrors.get(name, [])
        elif params is None:
            if number in plain:
                values[name] = value_of(plain[number])
        else:
            if number in told:
                winners: Sequence[SegmentRow[Token]] = told[number].winners
                change = told[number].until
            elif number in observed or number in scans:
                winners, change = _winners(scans.get(number), observed.get(number, ()), params, t)
            else:
                continue
            if change is not None:
                changes.append(change)
            if params.multi_value and winners:
                values[name] = [value_of(v) for _, _, _, v, _ in winners]
                terms[name] = [terms_of(winner, params) for winner in winners]
            elif winners:
                values[name] = value_of(winners[0][3])
                terms[name] = terms_of(winners[0], params)
    return Computed(values, terms, min(changes, default=None))


def _winners(
    scan: Scan[Token] | None, rows: Sequence[SegmentRow[Token]], params: Params, t: int
) -> tuple[Sequence[SegmentRow[Token]], int | None]:
    """The segments that give the value, or values, at `t` (µs), and when that changes by itself."""
    segments = segments_of(rows, params) if scan is None else segments_since(scan, rows, params)
    if params.multi_value:
        winners, change = winners_until(segments, t, params)
        return [winner.row for winner in winners], change
    winner, change = winner_until(segments, t, params)
    return [] if winner is None else [winner.row], change
