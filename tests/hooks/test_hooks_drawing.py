"""The order of snapshot hooks as people read it."""

from dp3.hooks.graph import order_as_mermaid, order_as_text
from dp3.hooks.registrar import CallbackRegistrar
from dp3.model.spec import ModelSpec
from kit.specs import a_type, plain_attr

MODEL = ModelSpec(
    {
        "host": a_type(
            "host",
            {"peer": plain_attr("link<host>"), "load": plain_attr("int"), "risk": plain_attr("int")},
        )
    }
)


def first(entity_type, values):
    pass


def second(entity_type, values):
    pass


def registered():
    registrar = CallbackRegistrar(MODEL).for_module("sample")
    registrar.register_correlation_hook(second, "host", [["risk"]], [])
    registrar.register_correlation_hook(first, "host", [["peer", "load"]], [["risk"]])
    return registrar.registrations


def test_the_text_has_the_hooks_in_the_order_in_which_they_run():
    lines = order_as_text(registered()).splitlines()
    assert [line for line in lines if line[0].isdigit()] == [
        f"1. sample: {__name__}.first for every host",
        f"2. sample: {__name__}.second for every host",
    ]
    assert lines[1] == "   reads host.load; writes host.risk"


def test_the_diagram_leads_from_what_is_read_over_the_hook_to_what_is_written():
    lines = [line.strip() for line in order_as_mermaid(registered()).splitlines()]
    assert lines[0] == "flowchart LR"
    assert 'a1("host.load")' in lines
    assert 'a2("host.risk")' in lines
    assert {"a1 --> h1", "h1 --> a2", "a2 --> h2"} <= set(lines)


def test_names_can_not_break_the_diagram():
    registrar = CallbackRegistrar(MODEL).for_module("sample")
    registrar.register_correlation_hook(lambda entity_type, values: None, "host", [], [["risk"]])
    assert "<lambda>" not in order_as_mermaid(registrar.registrations)


def test_without_hooks_the_text_says_so():
    assert order_as_text([]) == "No hook runs in snapshots."
