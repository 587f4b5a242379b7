"""Builders of models, in the form that configuration files have."""

from collections.abc import Mapping
from typing import Any

from dp3.model.spec import ModelSpec

Spec = dict[str, Any]


def an_entity(etype: str = "a", **keys: Any) -> Spec:
    """The `entity` part of a type."""
    return {"id": etype, "name": etype, "snapshot": True, **keys}


def a_type(etype: str, attribs: Mapping[str, Spec], **keys: Any) -> Spec:
    """A whole type; `keys` are those of its `entity` part."""
    return {"entity": an_entity(etype, **keys), "attribs": dict(attribs)}


def a_model(attribs: Mapping[str, Spec], **keys: Any) -> ModelSpec:
    """Type `a` with these attributes, and types to link to: `b` with integers as ids, `ip` with addresses."""
    types = (
        a_type("a", attribs, **keys),
        a_type("b", {}, id_data_type="int"),
        a_type("ip", {}, id_data_type="ipv4"),
    )
    return ModelSpec({spec["entity"]["id"]: spec for spec in types})


def plain_attr(data_type: Any = "int", **keys: Any) -> Spec:
    return {"name": "x", "type": "plain", "data_type": data_type, **keys}


def observed_attr(data_type: str = "int", history: Mapping[str, Any] | None = None, **keys: Any) -> Spec:
    """Observations; `history` are its `history_params`."""
    params = {} if history is None else {"history_params": dict(history)}
    return {"name": "x", "type": "observations", "data_type": data_type, **params, **keys}


def hourly(data_type: str = "int", **keys: Any) -> Spec:
    """Observations that are valid an hour before and after they were made."""
    return observed_attr(data_type, valid("1h", "1h"), **keys)


def each_point(data_type: str = "int") -> Spec:
    """Observations whose history shows every data-point on its own."""
    return observed_attr(data_type, valid("0s", "0s", aggregate=False))


def valid(pre: Any, post: Any, **more: Any) -> Spec:
    """`history_params` with validities, in seconds or with a unit."""
    return {"pre_validity": pre, "post_validity": post, **more}


def series_attr(kind: str = "regular", params: Mapping[str, Any] | None = None, **keys: Any) -> Spec:
    """A timeseries, of one series `x` unless told otherwise; a regular one has a value every five minutes."""
    own = params if params is not None else {"time_step": "5m"} if kind == "regular" else {}
    described = {"name": "x", "type": "timeseries", "timeseries_type": kind, "timeseries_params": dict(own)}
    return {**described, "series": {"x": {"data_type": "int"}}, **keys}
