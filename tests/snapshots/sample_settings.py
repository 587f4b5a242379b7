"""A few dozen configurations of one small application, any of which may follow any other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from random import Random
from typing import Any

from naive_rules import Rules
from sample_hooks import CHANGING_HOOKS, SampleHook
from telling_hooks import TELLING_HOOKS

from dp3.hooks.registrar import CallbackRegistrar
from dp3.model.spec import ModelSpec
from kit.specs import Spec, a_type, observed_attr, plain_attr, series_attr, valid

SETTINGS = 48

EIDS: Mapping[str, Sequence[int | str]] = {"a": ("a1", "a2", "a3"), "b": (1, 2, 10), "c": ("c1", "c2")}

_ALWAYS = {"a.p", "a.l", "a.o", "a.load", "b.p"}

LOAD = series_attr(
    params={"time_step": "1s"}, series={"who": {"data_type": "int"}, "load": {"data_type": "int"}}
)


@dataclass(frozen=True)
class Setting:
    """A model, the hooks registered for it, and `keep_empty` of the snapshots."""

    model: ModelSpec
    registrar: CallbackRegistrar
    keep_empty: bool = True

    @cached_property
    def rules(self) -> Rules:
        return Rules(self.model, self.registrar.registrations, self.keep_empty)


@cache
def setting(number: int) -> Setting:
    """One of `SETTINGS`. Attributes come and go; those of one name always have values of the same type, so
    that data of earlier configurations fits."""
    random = Random(number)
    config = {
        "a": _entity(random, "a", "string", _attributes_of_a(random)),
        "b": _entity(random, "b", "int", _attributes_of_b(random)),
        "c": _entity(random, "c", "string", _attributes_of_c(random)),
    }
    model = ModelSpec(config)
    chosen = [*_some(random, CHANGING_HOOKS, model), *_some(random, TELLING_HOOKS, model)]
    return Setting(model, registered(model, chosen), keep_empty=random.random() < 0.75)


def _some(random: Random, hooks: Sequence[SampleHook], model: ModelSpec) -> list[SampleHook]:
    fitting = [hook for hook in hooks if hook.fits(model)]
    return random.sample(fitting, min(len(fitting), random.choice([0, 0, 2, 4, 6])))


def registered(model: ModelSpec, hooks: Sequence[SampleHook]) -> CallbackRegistrar:
    registrar = CallbackRegistrar(model).for_module("sample")
    level = registrar.log.level
    registrar.log.setLevel("ERROR")
    try:
        for hook in hooks:
            hook.register(registrar)
    finally:
        registrar.log.setLevel(level)
    return registrar


def _entity(
    random: Random, etype: str, id_data_type: str, attribs: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    present = {
        name: spec for name, spec in attribs.items() if random.random() < 0.8 or f"{etype}.{name}" in _ALWAYS
    }
    snapshot = random.random() < 0.8
    return a_type(etype, present, id_data_type=id_data_type, snapshot=snapshot)


def _attributes_of_a(random: Random) -> dict[str, dict[str, Any]]:
    to_b = random.choice(["link<b>", "link<b;mirror=as>"])
    return {
        "p": plain_attr("int"),
        "s": plain_attr("string"),
        "ip": plain_attr("ipv4"),
        "o": _observed(random, "int", aggregate=False),
        "om": _observed(random, "string", multi_value=True),
        "l": _observed(random, to_b, more_s=10, multi_value=random.random() < 0.5),
        "lp": plain_attr(random.choice(["link<b,int>", "link<b,int ;mirror=aps>"])),
        "la": plain_attr(random.choice(["array<link<a>>", "array<link<a;mirror=fans>>"])),
        "lo": _observed(random, "array<link<c>>", multi_value=True),
        "load": LOAD,
        "told": plain_attr("int"),
        "heard": observations("string", 0, 3_600, multi_value=random.random() < 0.5),
        "score": plain_attr("int"),
        "far": plain_attr("string"),
    }


def _attributes_of_b(random: Random) -> dict[str, dict[str, Any]]:
    to_c = random.choice(["link<c>", "link<c;mirror=bs>"])
    heard = observations("string", 3_600, 3_600, multi_value=True)
    return {
        "p": plain_attr("int"),
        "n": plain_attr("int"),
        "c": _observed(random, to_c, more_s=10),
        "heard": heard,
    }


def _attributes_of_c(random: Random) -> dict[str, dict[str, Any]]:
    return {
        "q": plain_attr("string"),
        "back": plain_attr("link<a>"),
        "when": _observed(random, "string", aggregate=False),
    }


def _observed(
    random: Random, data_type: str, *, multi_value: bool = False, more_s: int = 0, aggregate: bool = True
) -> dict[str, Any]:
    """Valid for some seconds at most, or for some more. Whether they are aggregated stays the same: what was
    packed as one is not divided again."""
    pre, post = random.choice([0, 0, 1, 3]), random.choice([0, 1, 3, 7]) + more_s
    return observations(data_type, pre, post, aggregate=aggregate, multi_value=multi_value)


def observations(data_type: str, pre: float, post: float, aggregate: bool = True, **keys: Any) -> Spec:
    """`pre` and `post` in seconds."""
    return observed_attr(data_type, valid(pre, post, aggregate=aggregate), **keys)
