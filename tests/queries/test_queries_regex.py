"""Regular expressions asked of many texts at once."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dp3.reads.errors import QueryError
from dp3.reads.query.regex import Regex
from dp3.store.patterns import compile_for_lines

ATOMS = ["a", "b", "A", ".", "[^a]", r"\n", r"\W", r"\w", r"\s", r"\x00", "é", r"\Q^\E"]
ANCHORS = ["^", "$", r"\b", r"\B", r"\A", r"\z", "(?m)", "(?-m)", "(?s)", "(?i)"]

texts = st.text("abA\n\0é -", max_size=6)
parts = st.recursive(
    st.sampled_from(ATOMS + ANCHORS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map("".join),
        st.builds("(?:{}){}".format, inner, st.sampled_from(["", "*", "+", "?", "{2}"])),
        st.builds("(?{}:{})".format, st.sampled_from(["i", "m", "s", "-m", "i-s"]), inner),
        st.builds("{}|{}".format, inner, inner),
    ),
    max_leaves=8,
)


@given(
    pattern=parts,
    flags=st.sets(st.sampled_from("imsx")).map(lambda found: "".join(sorted(found))),
    some=st.lists(texts, min_size=1, max_size=5),
)
@example(pattern="^$", flags="", some=["a", ""])
@example(pattern="^b$", flags="", some=["a", "b", "c"])
@example(pattern=r"a\nb", flags="", some=["b", "a\nb"])
def test_what_occurs_in_a_text_is_found_among_the_lines(pattern: str, flags: str, some: list[str]) -> None:
    regex = Regex(pattern, flags)
    test, in_lines = regex.compile(), compile_for_lines(*regex.known)
    if in_lines and any(map(test, some)):
        assert in_lines("\n".join(some))


@pytest.mark.parametrize("pattern", ["^b", "a$", "[0-9]+-7", r"\bca", "(?i)CAR", "(?:ab|ac)d", "(?P<n>x)"])
def test_what_occurs_in_no_text_is_not_found_among_the_lines(pattern: str) -> None:
    in_lines = compile_for_lines(*Regex(pattern).known)
    assert in_lines is not None
    assert not in_lines("\n".join(["ab", "7-66", "scab"]))


@pytest.mark.parametrize("pattern", [r"\Ab", r"b\z", "(?-m)^b", "(?i-m:b$)"])
def test_what_looks_at_the_ends_of_the_whole_has_no_test_for_lines(pattern: str) -> None:
    assert compile_for_lines(*Regex(pattern).known) is None


NOT = '{"$not": {"$regex": "…"}}'
AND = '{"$and": [{"name": {"$regex": "…"}}'


@pytest.mark.parametrize(
    ("pattern", "lacks"),
    [
        (
            "^(?!web)",
            f"no negative look-around: write the expression for what must not occur under $not, {NOT}",
        ),
        ("(?<!a)b", NOT),
        (r"\\\\(?!x)", NOT),
        ("(?=.*x)y", f"no look-around: write what must occur, too, as a second expression, {AND}"),
        ("(?<=a)b", AND),
        (r"(a|b)\1", "no back-references: write out what may occur twice, 'aa|bb' for"),
        (r"(?P<n>a)(?P=n)", "no back-references"),
        (r"(?<n>a)\k<n>", "no back-references"),
        ("(?>a)b", "no atomic groups and no possessive quantifiers: leave them away"),
        ("a++b", "no atomic groups"),
        (r"(?!a)(b)\1", "under $not"),
        (r"(?!a)(b)\1", "no back-references"),
    ],
)
def test_what_the_engine_lacks_is_told_with_what_to_write_instead(pattern: str, lacks: str) -> None:
    with pytest.raises(QueryError) as caught:
        Regex(pattern, named="$regex").compile()
    assert "; regular expressions are those of RE2, which has no " in str(caught.value)
    assert lacks in str(caught.value)


@pytest.mark.parametrize("pattern", ["(", r"\(?!x(", r"[", "(?:"])
def test_other_mistakes_are_not_taken_for_what_the_engine_lacks(pattern: str) -> None:
    with pytest.raises(QueryError) as caught:
        Regex(pattern).compile()
    assert "RE2" not in str(caught.value)
