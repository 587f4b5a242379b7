"""Files that lines are appended to while other programs move them away."""

import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dp3.runtime.line_file import LineFile, LineFiles
from kit.limits import Enter, constants


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs" / "x.log"


@pytest.fixture
def file(path: Path, enter: Enter) -> Iterator[LineFile]:
    """One that looks at every line whether it still has its name."""
    enter(constants("dp3.runtime.line_file", LOOK_EVERY_S=0.0))
    file = LineFile(path)
    yield file
    file.close()


def test_lines_go_to_a_new_file_when_theirs_was_renamed(file: LineFile, path: Path) -> None:
    file.write("a\n")
    path.rename(path.with_suffix(".1"))
    file.write("b\n")
    assert (path.with_suffix(".1").read_text(), path.read_text()) == ("a\n", "b\n")


def test_a_removed_file_is_made_anew(file: LineFile, path: Path) -> None:
    path.unlink()
    file.write("a\n")
    assert path.read_text() == "a\n"


def test_a_file_that_was_made_under_the_name_is_taken(file: LineFile, path: Path) -> None:
    path.unlink()
    path.write_text("first\n")
    file.write("a\n")
    assert path.read_text() == "first\na\n"


def test_a_renamed_file_goes_on_while_no_other_can_be_made(file: LineFile, path: Path) -> None:
    renamed = path.parent.parent / "x.1"
    path.rename(renamed)
    path.parent.rmdir()
    path.parent.touch()
    file.write("a\n")
    assert renamed.read_text() == "a\n"


def test_a_removed_file_that_can_not_be_made_anew_is_an_error(file: LineFile, path: Path) -> None:
    path.unlink()
    path.parent.rmdir()
    with pytest.raises(FileNotFoundError):
        file.write("a\n")
    path.parent.mkdir()
    file.write("b\n")
    assert path.read_text() == "b\n"


def test_how_a_file_is_called_is_not_looked_up_for_every_line(path: Path) -> None:
    file = LineFile(path)
    file.write("a\n")
    path.rename(path.with_suffix(".1"))
    file.write("b\n")
    assert path.with_suffix(".1").read_text() == "a\nb\n"
    file.reopen()
    assert path.read_text() == ""
    file.close()


def test_files_are_opened_anew_together_and_what_can_not_be_is_told(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = LineFiles()
    gone, closed, kept = (files.open(path.with_name(name)) for name in ("gone", "closed", "kept"))
    closed.close()
    for file in (gone, closed, kept):
        file.path.unlink()
    gone.path.mkdir()
    files.reopen()
    assert (kept.path.is_file(), closed.path.exists()) == (True, False)
    assert f"{gone.path}: not opened again" in caplog.text
    gone.close()
    kept.close()


def test_lines_of_many_writers_are_whole(path: Path) -> None:
    def write(name: str) -> None:
        file = LineFile(path)
        for _ in range(500):
            file.write(f"{name * 300}\n{name * 20}\n")
        file.close()

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = path.read_text().splitlines()
    assert {*lines} == {name * size for name in "abcd" for size in (300, 20)}
    assert all(one[0] == two[0] for one, two in zip(lines[::2], lines[1::2], strict=True))


FULL = """
import resource, sys
from pathlib import Path
from dp3.runtime.line_file import LineFile

def room(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

file = LineFile(Path(sys.argv[1]))
file.write("a" * 9 + "\\n")
room(15)
try:
    file.write("b" * 9 + "\\n")
except OSError as error:
    print(error.strerror)
room(resource.RLIM_INFINITY)
file.write("c\\n")
file.write("d\\n")
"""


def test_what_follows_a_line_that_the_disk_cut_off_is_a_line_of_its_own(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "File too large\n"
    assert path.read_text().splitlines() == ["a" * 9, "b" * 5, "c", "d"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
