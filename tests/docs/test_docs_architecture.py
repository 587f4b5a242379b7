"""The page on the architecture names what there is: folders, layers, files, jobs."""

import ast
import re
import tomllib
from pathlib import Path

from doc_pages import DOCS, fenced, page, rows

ROOT = DOCS.parent
SOURCE = ROOT / "src" / "dp3"
TEXT = page("architecture.md")

PATH = re.compile(r"\w[\w./]*?(?:/|\.(?:py|md|sql|toml))")


def quoted(text: str) -> list[str]:
    """What stands in backquotes, outside of drawings."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S))


def missing(text: str) -> list[str]:
    """Paths on a page that lead nowhere: from the source folder, the root, or the folder that was named
    last."""
    lost, folder = [], SOURCE
    for path in filter(PATH.fullmatch, quoted(text)):
        found = next((base / path for base in (SOURCE, ROOT) if is_there(base / path, path)), None)
        if found is not None:
            folder = found if path.endswith("/") else found.parent
        elif not is_there(folder / path, path):
            lost.append(path)
    return lost


def is_there(place: Path, path: str) -> bool:
    return place.is_dir() if path.endswith("/") else place.is_file()


def test_every_path_exists() -> None:
    assert missing(TEXT) == []


def test_a_path_is_looked_for_beside_the_one_before() -> None:
    assert missing("`engine/worker.py`, `context.py`, `engine/jobs/`, `snapshots/job.py`, `archive.py`") == []
    text = "`engine/worker.py`, `archive.py`, `engin/`, `docs/nothing.md`"
    assert missing(text) == ["archive.py", "engin/", "docs/nothing.md"]


def test_every_folder_has_a_responsibility() -> None:
    table = {row["folder"].strip("`"): row["responsibility"] for row in rows(TEXT, "Layers")}
    assert table.keys() == {f"{folder.name}/" for folder in SOURCE.iterdir() if any(folder.glob("*.py"))}
    assert all(table.values())


def test_the_drawing_is_the_contract() -> None:
    [drawing] = fenced(TEXT, "text")
    drawn = [set(names) for line in drawing.splitlines() if (names := re.findall(r"\b(\w+)/(?!\w)", line))]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [contract] = [each for each in project["tool"]["importlinter"]["contracts"] if each["type"] == "layers"]
    assert f'"{contract["name"]}"' in TEXT
    assert drawn == [set(re.findall(r"dp3\.(\w+)", layer)) for layer in contract["layers"]]


def test_every_job_is_in_the_table_with_its_file() -> None:
    jobs = SOURCE / "engine" / "jobs"
    listed = {
        (name, row["file in `engine/jobs/`"].strip("`"))
        for row in rows(TEXT, "Background work")
        for name in quoted(row["job"])
    }
    defined = {
        (node.name, file.relative_to(jobs).as_posix())
        for file in jobs.rglob("*.py")
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and node.name != "Job" and begins_work(node)
    }
    assert listed == defined


def begins_work(node: ast.ClassDef) -> bool:
    """True for a class that has `Job.begin`."""
    return any(
        isinstance(method, ast.FunctionDef)
        and method.name == "begin"
        and [argument.arg for argument in method.args.args] == ["self", "now", "failures"]
        for method in node.body
    )


def test_every_name_that_is_quoted_is_defined() -> None:
    source = "\n".join(file.read_text(encoding="utf-8") for file in SOURCE.rglob("*.py"))
    defined = set(re.findall(r"^(?:class )?([A-Z]\w+)(?=[(:]| = |: )", source, re.M)) | {"Protocol"}
    quoted_names = re.findall(r"`([A-Z]\w+)(?:\.[a-z]\w+)?`", TEXT.replace("`README.md`", ""))
    assert [name for name in quoted_names if name not in defined] == []
