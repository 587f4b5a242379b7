"""Positions and mistakes in one YAML file."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dp3.config.yaml_source import InvalidYaml, parse

TEXT = b"""\
# comment
first: 1
nested:
  list:
    - a
    - key: b
  5: five
common: &common
  inherited: 1
user:
  <<: *common
  own: 2
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 2),
        (("first",), 2),
        (("nested",), 3),
        (("nested", "list", 0), 5),
        (("nested", "list", "1", "key"), 6),
        (("nested", 5), 7),
        (("user", "own"), 12),
        (("user", "inherited"), 9),
    ],
)
def test_every_key_and_item_has_its_line(path: tuple[str | int, ...], line: int) -> None:
    assert parse(TEXT, "a.yml").line(path) == line


@pytest.mark.parametrize(
    ("path", "line"),
    [(("nested", "missing"), 3), (("nested", "list", 7), 4), (("first", "x"), 2), (("x",), 2)],
)
def test_missing_element_has_the_line_of_what_encloses_it(path: tuple[str | int, ...], line: int) -> None:
    assert parse(TEXT, "a.yml").line(path) == line


@pytest.mark.parametrize("text", [b"", b"# comment\n"])
def test_empty_file_has_no_value(text: bytes) -> None:
    assert parse(text, "a.yml").value is None


def test_all_keys_that_stand_twice_are_reported_with_both_lines() -> None:
    with pytest.raises(InvalidYaml) as caught:
        parse(b"a: 1\nb: {x: 1,\n  x: 2}\na: 3\n", "a.yml")
    assert str(caught.value).splitlines() == [
        "a.yml:4: key 'a' stands twice, first on line 1; remove one",
        "a.yml:3: key 'x' stands twice, first on line 2; remove one",
    ]


def test_merged_keys_may_be_overridden() -> None:
    assert parse(b"a: &a {x: 1}\nb: {<<: *a, x: 2}\n", "a.yml").value["b"] == {"x": 2}


def test_aliases_that_contain_themselves_do_not_hang() -> None:
    document = parse(b"a: &a\n  - *a\n", "a.yml")
    assert document.line(("a", 0, 0, 0)) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"a: 1\nb: [1,\n", "a.yml:2: not valid YAML: while parsing a flow"),
        (b"a: 1\nb: c: d\n", "a.yml:2: not valid YAML: mapping values are not allowed"),
        (b"a:\n\tb: 1\n", "a.yml:2: not valid YAML: "),
        (b"a: 1\nb: 2020-13-45\n", "a.yml:2: not valid YAML: month must be in 1..12"),
        (b"a: 1\nb: !!python/object:x {}\n", "a.yml:2: not valid YAML: could not determine a constructor"),
        (b"a: 1\n---\nb: 1\n", "a.yml:2: not valid YAML: expected a single document"),
        (b"a: 1\nb: \xff\n", "a.yml:2: not valid YAML: "),
        (b"a: 1\nb: *nowhere\n", "a.yml:2: not valid YAML: found undefined alias"),
        (b"a: " + b"[" * 3000 + b"]" * 3000, "a.yml:1: nested too deeply"),
    ],
)
def test_mistakes_name_file_line_and_reason(text: bytes, message: str) -> None:
    with pytest.raises(InvalidYaml) as caught:
        parse(text, "a.yml")
    assert str(caught.value).startswith(message)


def test_tab_is_explained() -> None:
    with pytest.raises(InvalidYaml, match="indent with blanks, not tabs"):
        parse(b"a:\n\tb: 1\n", "a.yml")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("abc:#- {}", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3)
    ),
)


@given(VALUES)
def test_value_is_that_of_the_safe_loader(value: object) -> None:
    assert parse(yaml.safe_dump(value).encode(), "a.yml").value == value


@given(st.binary(max_size=40) | st.text("ab:-[]{}&*!|>'\"%@` \n\t", max_size=40).map(str.encode))
def test_any_bytes_give_a_value_or_a_mistake_with_a_line(text: bytes) -> None:
    try:
        parse(text, "a.yml")
    except InvalidYaml as error:
        assert all(line is not None and line >= 1 for line, _ in error.mistakes)


@pytest.mark.parametrize(
    ("written", "read", "instead"),
    [
        ("1:30", "90", "90, 90s or 90m"),
        ("-1:30", "-90", "-90"),
        ("1:30.5", "90.5", "90.5"),
        ("11:22:33:44:55:06", "8846009706", "8846009706"),
        ("010", "8", "8 or 10"),
        ("-010", "-8", "-8 or -10"),
        ("0_10", "8", "8 or 10"),
    ],
)
def test_a_number_that_yaml_reads_otherwise_than_it_looks_is_told(
    written: str, read: str, instead: str
) -> None:
    document = parse(f"a: 1\nb: [x, {{y: {written}}}]\n".encode(), "a.yml")
    (mistake,) = document.misread
    assert mistake.line == 2
    assert mistake.message.startswith(f"{written} is the number {read} ")
    assert instead in mistake.message and f'"{written}"' in mistake.message
    assert document.value["b"][1]["y"] == yaml.safe_load(read)


@pytest.mark.parametrize(
    "written",
    [
        "0",
        "00",
        "02",
        "-07",
        "8",
        "1_000",
        "0x10",
        "'1:30'",
        '"010"',
        "!!int '010'",
        "!!str 010",
        "08",
        "01:30",
    ],
)
def test_a_number_that_is_what_it_looks_like_or_is_in_quotes_is_fine(written: str) -> None:
    assert parse(f"a: {written}".encode(), "a.yml").misread == ()


@pytest.mark.parametrize("written", ["12:30:00", "1:00:05", "100:00:00", "1:30:00.5"])
def test_hours_minutes_and_seconds_are_as_many_seconds_as_they_look_like(written: str) -> None:
    document = parse(f"a: {written}".encode(), "a.yml")
    hours, minutes, seconds = map(float, written.split(":"))
    assert document.value["a"] == hours * 3600 + minutes * 60 + seconds and document.misread == ()


def test_a_number_is_told_once_though_aliases_repeat_it_also_as_a_key() -> None:
    document = parse(b"a: &x [010]\nb: *x\n020: c\n", "a.yml")
    assert [mistake.line for mistake in document.misread] == [1, 3]
