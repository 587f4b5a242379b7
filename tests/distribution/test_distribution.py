"""The published files: a wheel with all that the program needs, an sdist to build and test it from."""

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import pytest

from dp3 import __version__

ROOT = Path(__file__).parents[2]
NOT_PUBLISHED = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "build", "dist", "htmlcov", "dp3-data"
)
MADE_BY_THE_BUILD = {"PKG-INFO", "setup.cfg"}

pytest.importorskip("setuptools", minversion="77", reason="make setup installs the build backend")


class Built(NamedTuple):
    sdist: Path
    wheel: Path

    def metadata(self) -> Message:
        with ZipFile(self.wheel) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            return Parser().parsestr(archive.read(name).decode())

    def files(self) -> set[str]:
        """The files of the wheel, without its metadata."""
        with ZipFile(self.wheel) as archive:
            return {name for name in archive.namelist() if ".dist-info/" not in name}


def build(kind: str, tree: Path, into: Path) -> Path:
    """Call the build backend as pip does, in the folder of the project; nothing is fetched."""
    call = f"import sys, setuptools.build_meta as backend; print(backend.build_{kind}(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", call, str(into)], cwd=tree, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return into / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The sdist of a copy of this tree, and the wheel that is built from what the sdist has."""
    place = tmp_path_factory.mktemp("packaging")
    tree = shutil.copytree(ROOT, place / "tree", ignore=NOT_PUBLISHED)
    sdist = build("sdist", tree, place)
    with tarfile.open(sdist) as archive:
        archive.extractall(place / "unpacked", filter="data")
    (unpacked,) = (place / "unpacked").iterdir()
    return Built(sdist, build("wheel", unpacked, place))


def files_below(folder: Path) -> set[str]:
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)) for path in found if not path.name.startswith(".")}


def test_the_distribution_has_a_name_of_its_own_while_package_and_command_are_called_dp3(
    built: Built,
) -> None:
    assert built.metadata()["Name"] == "dp3-platform"
    assert built.sdist.name == f"dp3_platform-{__version__}.tar.gz"
    assert {name.split("/")[0] for name in built.files()} == {"dp3"}
    with ZipFile(built.wheel) as archive:
        scripts = archive.read(f"dp3_platform-{__version__}.dist-info/entry_points.txt").decode()
    assert scripts.split() == ["[console_scripts]", "dp3", "=", "dp3.__main__:main"]


def test_the_wheel_has_every_file_of_the_package(built: Built) -> None:
    assert built.files() == {f"dp3/{name}" for name in files_below(ROOT / "src" / "dp3")}


def test_the_program_runs_from_the_wheel(built: Built, tmp_path: Path) -> None:
    with ZipFile(built.wheel) as archive:
        archive.extractall(tmp_path / "site")
    run = [
        sys.executable,
        "-I",
        "-c",
        "import sys; sys.path.insert(0, sys.argv.pop(1)); import dp3.__main__ as m",
    ]
    run[-1] += "; print(m.__file__); m.main()"
    done = subprocess.run(
        [*run, str(tmp_path / "site"), "--version"], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.splitlines() == [str(tmp_path / "site/dp3/__main__.py"), f"dp3 {__version__}"]


def test_the_sdist_has_documents_tests_and_all_that_make_needs(built: Built) -> None:
    with tarfile.open(built.sdist) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames() if "/" in name}
        packed = {name for name in names if archive.getmember(f"{built.sdist.name[:-7]}/{name}").isfile()}
    wanted = {
        f"{folder}/{name}"
        for folder in ("docs", "scripts", "src/dp3", "tests")
        for name in files_below(ROOT / folder)
    }
    wanted |= {
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "Makefile",
        "README.md",
        "constraints.txt",
        "pyproject.toml",
    }
    assert wanted - packed == set()
    surplus = {name for name in packed - wanted if ".egg-info/" not in name}
    assert surplus == MADE_BY_THE_BUILD | {"MANIFEST.in"}


def test_metadata_says_licence_version_and_who_it_is_for(built: Built) -> None:
    metadata = built.metadata()
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert metadata["Version"] == __version__
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert "profile" in metadata["Summary"] and metadata["Author"] and metadata["Keywords"]
    classifiers = metadata.get_all("Classifier", [])
    assert {"Typing :: Typed", "Operating System :: POSIX"} <= set(classifiers)
    assert not [line for line in classifiers if line.startswith("License ::")], "the expression says it"


def test_extras_are_named_by_the_name_of_the_distribution_wherever_they_are_named() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    known = {f"{project['name']}[{extra}]" for extra in project["optional-dependencies"]}
    pages = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "src").rglob("*.py"),
    ]
    texts = [page.read_text() for page in pages] + [(ROOT / "pyproject.toml").read_text()]
    named = {found for text in texts for found in re.findall(r"\bdp3[\w-]*\[[a-z]+\](?!\()", text)}
    assert "dp3-platform[parquet]" in named
    assert named - known == set()
