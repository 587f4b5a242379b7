"""The stored form: nothing is lost, and equal snapshots are equal bytes."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dp3.engine.jobs.snapshots.doc import Doc, decode_doc, encode_doc, expand
from dp3.history import Params, Segment, confidence_at
from dp3.history.terms import Terms, confidence

thorough = settings(max_examples=200, deadline=None)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
names = texts.filter(lambda name: not name.endswith("#c"))
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | texts
wire_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
times = st.integers(-(10**17), 10**18)
durations = st.integers(0, 10**15)
some_terms = st.builds(
    lambda c, n, t1, length, pre, post: Terms(c, n, t1, t1 + length, pre, post),
    st.integers(0, 10**12),
    st.integers(1, 10**6),
    times,
    durations,
    durations,
    durations,
)


@st.composite
def docs(draw: st.DrawFn) -> Doc:
    values = {"eid": draw(texts)} | draw(st.dictionaries(names, wire_values, max_size=5))
    terms = {
        name: draw(some_terms | st.lists(some_terms, min_size=1, max_size=3))
        for name in values
        if draw(st.booleans())
    }
    literals = draw(st.dictionaries(names.map(lambda name: name + "#c"), wire_values, max_size=2))
    return Doc(values, terms, {key: v for key, v in literals.items() if key[:-2] not in terms})


@thorough
@given(docs())
def test_a_document_survives_storing(doc: Doc) -> None:
    again = decode_doc(encode_doc(doc))
    assert again == doc
    assert list(again.values) == list(doc.values)
    assert encode_doc(again) == encode_doc(doc)


@thorough
@given(docs(), times)
def test_a_document_expands_alike_before_and_after_storing(doc: Doc, t: int) -> None:
    snapshot = expand(doc, t)
    assert list(expand(decode_doc(encode_doc(doc)), t).items()) == list(snapshot.items())


@thorough
@given(some_terms, times)
def test_confidence_from_terms_is_that_of_the_history(terms: Terms, t: int) -> None:
    segment = Segment(terms.t1, terms.t2, terms.c_sum, terms.n, b"")
    numerator, denominator = confidence_at(segment, t, Params(terms.pre, terms.post))
    assert confidence(terms, t) == numerator / denominator


def test_the_order_of_keys_inside_values_does_not_matter() -> None:
    one, two = {"eid": 1, "j": {"x": 1, "y": 2}}, {"eid": 1, "j": {"y": 2, "x": 1}}
    assert encode_doc(Doc(one, {})) == encode_doc(Doc(two, {}))


def test_values_of_different_types_are_different_documents() -> None:
    stored = {encode_doc(Doc({"eid": 1, "p": value}, {})) for value in (1, 1.0, True, "1")}
    assert len(stored) == 4


def test_each_confidence_follows_its_value() -> None:
    terms = Terms(1_000_000_000, 2, 0, 10, 0, 0)
    doc = Doc({"eid": 1, "o": 5, "m": [1, 2], "h": 3}, {"o": terms, "m": [terms, terms]}, {"h#c": 0.25})
    assert list(expand(doc, 5).items()) == [
        ("eid", 1),
        ("o", 5),
        ("o#c", 0.5),
        ("m", [1, 2]),
        ("m#c", [0.5, 0.5]),
        ("h", 3),
        ("h#c", 0.25),
    ]


def test_a_confidence_without_its_value_is_shown_last() -> None:
    assert list(expand(Doc({"eid": 1, "p": 2}, {}, {"gone#c": 0.5}), 0)) == ["eid", "p", "gone#c"]


@pytest.mark.parametrize("junk", [b"", b"\x90", msgspec.msgpack.encode({"eid": 1})])
def test_what_is_no_document_is_refused(junk: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode_doc(junk)
