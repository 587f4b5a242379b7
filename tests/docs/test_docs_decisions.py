"""What the pages on compatibility and on decisions refer to exists."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
from doc_pages import DOCS, page, rows

from dp3.model.wire import WirePoint, WireTask, encode_tasks

ROOT = DOCS.parent
DECISIONS = sorted((DOCS / "adr").glob("[0-9]*.md"))


NAMED = re.compile(r"`([\w/]+\.py)::(test_\w+)`")
"""A test as it is named on a page: its file in `tests`, and its function."""


def test_every_promise_says_what_holds_and_by_which_tests_that_is_shown() -> None:
    promises = rows(page("compatibility.md"), "Promises of the module API")
    assert [row[""] for row in promises] == [f"B{number}" for number in range(1, 22)]
    assert all(row["promise"] for row in promises)
    assert [row[""] for row in promises if not NAMED.search(row["shown by"])] == []


def test_every_test_that_is_named_exists() -> None:
    text = page("compatibility.md")
    named = set(NAMED.findall(text))
    assert len(named) == len(set(re.findall(r"`[^`]*::[^`]*`", text))), "all are written in one form"
    assert [f"{file}::{name}" for file, name in named if not is_test(ROOT / "tests" / file, name)] == []


def is_test(file: Path, name: str) -> bool:
    """Whether pytest finds the test: in a file with the right name, at its top level."""
    if not file.name.startswith("test_") or not file.is_file():
        return False
    parsed = ast.parse(file.read_text(encoding="utf-8"))
    return name in {node.name for node in parsed.body if isinstance(node, ast.FunctionDef)}


def test_every_decision_is_in_the_index() -> None:
    index = (DOCS / "adr" / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| \[(\d{4})\]\((.*?)\) \|", index, re.M)
    assert listed == [(file.name[:4], file.name) for file in DECISIONS]


@pytest.mark.parametrize("file", DECISIONS, ids=lambda file: file.stem)
def test_a_decision_has_all_its_parts_and_fits_on_a_page(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.startswith(f"# {file.name[:4]} ")
    parts = re.findall(r"^\*\*(\w+)\.\*\*", text, re.M)
    assert parts == ["Context", "Decision", "Consequences", "Alternatives"]
    assert len(text.splitlines()) <= 60


def test_every_dependency_has_a_line() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *(each for of in project["optional-dependencies"].values() for each in of),
    ]
    names = {re.match(r"[\w-]+", requirement)[0] for requirement in wanted} - {project["name"]}  # type: ignore[index]
    text = (DOCS / "adr" / "0001-dependencies.md").read_text(encoding="utf-8")
    named = {
        name for line in re.findall(r"^\| (`.*?) \|", text, re.M) for name in re.findall(r"`([\w-]+)`", line)
    }
    assert named == names


def test_a_task_with_one_observation_takes_as_many_bytes_as_the_decision_says() -> None:
    point = WirePoint("temperature", 21.5, 1767268800000000, 1767268860000000, 900000000, "sensor-7")
    size = len(encode_tasks([WireTask("server", "web-1", [point])]))
    text = (DOCS / "adr" / "0005-wire-values.md").read_text(encoding="utf-8")
    assert f"instead of {size} bytes" in text
