"""How the history of an attribute is read, from its specification."""

from datetime import timedelta

from dp3.history.segments import Params
from dp3.model.attrspec import AttrSpecObservations


def history_params(spec: AttrSpecObservations) -> Params:
    """How the history of an attribute is read, from its specification."""
    configured = spec.history_params
    return Params(
        pre=_us(configured.pre_validity),
        post=_us(configured.post_validity),
        multi_value=spec.multi_value,
        aggregate=configured.aggregate,
    )


def _us(duration: timedelta | None) -> int:
    return 0 if duration is None else duration // timedelta(microseconds=1)
