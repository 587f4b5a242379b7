"""A data directory from which a file is missing, or in which one is cut, zeroed or changed: it is refused,
what is damaged is a dead letter, or all is as it was; no entity ever has another value."""

import random
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from dp3.clock import FakeClock
from dp3.engine.continuity import require_continuity
from dp3.log.port import Lane, LogIncomplete
from dp3.log.sqlite import open_log
from dp3.reads.raw import RawQuery
from dp3.reads.reads import Reads
from dp3.sqlite import FormatError
from dp3.sqlite.checkpoint import Checkpointer
from kit.engine import Engine
from kit.flips import flip
from kit.limits import constants
from kit.points import SECOND, START_US, derived, obs, plain, task

PROCESSED, WAITING = 24, 8
FLIPS = 200
SEGMENT_BYTES = 2_500

SELDOM_S = 3_600.0
"""The latest entries are in write-ahead logs alone, however slow the machine is."""

Masters = dict[str, Any]


def eid(number: int) -> str:
    return f"e{number}"


def deriving(registrar: Any) -> None:
    registrar.register_on_new_attr_hook(lambda eid, dp: [derived(eid, "s", dp.v)], "a", "p")


def opened(directory: Path, after_s: int = 0) -> Engine:
    return Engine(directory, segment_bytes=SEGMENT_BYTES, now_us=START_US + (1_000 + after_s) * SECOND)


def masters(engine: Engine) -> Masters:
    return {eid(number): engine.values(eid(number)) for number in range(PROCESSED + WAITING)}


@pytest.fixture(scope="module")
def whole() -> Iterator[tuple[Path, Masters]]:
    """A directory as a program leaves it that was killed, with entries that wait; and what becomes of it."""
    with TemporaryDirectory() as name:
        live, copy = Path(name, "live"), Path(name, "killed")
        with constants("dp3.log.sqlite", Checkpointer=partial(Checkpointer, interval_s=SELDOM_S)):
            engine = opened(live)
        for number in range(PROCESSED + WAITING):
            engine.send(task(eid(number), plain("p", number), obs(number)))
            if number < PROCESSED:
                engine.work(deriving)
        shutil.copytree(live, copy)
        engine.close()
        yield copy, after(copy, lambda _: None)[0]


def after(whole: Path, harm: Callable[[Path], None]) -> tuple[Masters, list[str]]:
    """The values of all entities after a copy of the directory was harmed, opened and worked on, and the
    kinds of dead letters. Raises what refuses it."""
    with TemporaryDirectory() as name:
        copy = Path(name, "copy")
        shutil.copytree(whole, copy)
        harm(copy)
        engine = opened(copy, after_s=60)
        try:
            require_continuity(engine.log, engine.store.batches, accept_loss=False)
            engine.work(deriving)
            assert engine.raw_count("a") <= 3 * (PROCESSED + WAITING), "nothing was derived twice"
            return masters(engine), [stored.letter.kind for stored in engine.letters()]
        finally:
            engine.close()


def is_harmless(whole: tuple[Path, Masters], harm: Callable[[Path], None]) -> bool:
    """Whether a harmed directory was opened; whatever it tells is right."""
    directory, right = whole
    try:
        found, letters = after(directory, harm)
    except (FormatError, LogIncomplete):
        return False
    for name, values in found.items():
        for attr, value in values.items():
            if isinstance(value, list):
                assert all(part in right[name][attr] for part in value), (name, attr)
            else:
                assert value == right[name][attr], (name, attr)
        if values != right[name]:
            assert "entry" in letters, f"{name} lacks something, and nobody says why"
    return True


def all_files() -> list[str]:
    """The files of a data directory that hold anything, by their places; the ones of segments by their
    numbers."""
    return ["state/state.db", "state/state.db-wal", "state/state.db-shm"] + [
        f"log/{lane}/{file}"
        for lane in ("main", "derived")
        for file in ("head", "first.seg", "middle.seg", "last.seg", "last.seg-wal", "last.seg-shm")
    ]


def file_at(directory: Path, place: str) -> Path:
    folder, name = (directory / place).parent, Path(place).name
    which, _, suffix = name.partition(".seg")
    if which not in ("first", "middle", "last"):
        return directory / place
    segments = sorted(folder.glob("*.seg"))
    segment = segments[{"first": 0, "middle": len(segments) // 2, "last": -1}[which]]
    return segment.with_name(segment.name + suffix)


def cut(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


HARMS: dict[str, Callable[[Path], None]] = {"removed": Path.unlink, "cut": cut, "zeroed": zero}


@pytest.mark.parametrize("how", HARMS)
@pytest.mark.parametrize("place", all_files())
def test_a_file_that_is_gone_cut_or_zeroed_never_gives_another_answer(
    whole: tuple[Path, Masters], place: str, how: str
) -> None:
    def harm(directory: Path) -> None:
        HARMS[how](file_at(directory, place))

    can_be_made_anew = place.endswith("-shm") or place == "state/state.db-wal"
    is_state_alone = place == "state/state.db" and how == "removed"
    assert is_harmless(whole, harm) == (can_be_made_anew or is_state_alone)


def test_a_flipped_byte_never_gives_another_answer(whole: tuple[Path, Masters]) -> None:
    chance = random.Random(10)
    places = [f"state/{name}" for name in ("state.db", "state.db-wal")]
    places += [f"log/{lane}/{name}" for lane in ("main", "derived") for name in ("first.seg", "last.seg-wal")]
    opened_well = 0
    for _ in range(FLIPS):
        place, where, bit = chance.choice(places), chance.random(), chance.randrange(8)

        def harm(directory: Path, place: str = place, where: float = where, bit: int = bit) -> None:
            path = file_at(directory, place)
            flip(path, int(where * path.stat().st_size), 1 << bit)

        opened_well += is_harmless(whole, harm)
    assert 0 < opened_well < FLIPS


@pytest.mark.parametrize("lane", list(Lane))
def test_flipped_values_in_the_log_cost_their_entry_alone(whole: tuple[Path, Masters], lane: Lane) -> None:
    """The flip is in a stored value, in an entry that waits or will be read again."""
    directory, right = whole

    def harm(copy: Path) -> None:
        open_log(copy, FakeClock()).close()  # what is in write-ahead logs goes to the segments
        shutil.rmtree(copy / "state")
        path = sorted((copy / "log" / lane.name.lower()).glob("*.seg"))[0]
        flip(path, path.read_bytes().rindex(b"\xa1p" if lane is Lane.MAIN else b"\xa1s") + 1)

    found, letters = after(directory, harm)
    assert letters.count("entry") == 1
    wrong = [name for name in found if found[name] != right[name]]
    assert len(wrong) <= 1


def test_a_listing_of_raw_data_says_how_many_entries_it_could_not_read(tmp_path: Path) -> None:
    engine = opened(tmp_path)
    for number in range(3):
        engine.send(task(eid(number), plain("p", number)))
    engine.close()
    (segment,) = (tmp_path / "log" / "main").glob("*.seg")
    flip(segment, segment.read_bytes().rindex(b"\xa1p") + 1)
    engine = opened(tmp_path)
    answer = Reads(engine.store, engine.log, engine.model, engine.clock).raw.find(RawQuery("a"))
    assert (answer["count"], answer["damaged"]) == (2, 1)
    engine.close()
