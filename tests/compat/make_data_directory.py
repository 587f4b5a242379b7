"""Makes `data-0.1.tar.xz` and `answers.json.xz`: `python tests/compat/make_data_directory.py`.

This is how version 0.1 made them: a life of five days that leads through everything that is stored, and ends
in the midst of work. Later versions need not be able to make them, only to open the one and give the other.
"""

import json
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import apsw
import story
import yaml
from opening import Application, Workers, closed_in_order
from phases import ARCHIVE, PHASES, live, unpacked
from questions import all_questions, following
from recording import Question, Recorded, write

from dp3.clock import FakeClock
from dp3.config.loading import load
from dp3.engine.archiving import Archiver, ArchiveSettings
from dp3.engine.cursor import Cursor
from dp3.engine.measuring import SizeMeasurer
from dp3.engine.schema.update import begin_update, finish_update
from dp3.log.port import Append, Lane
from dp3.log.segments import open_log
from dp3.model.chore import Chore
from dp3.model.partition import partition_of
from dp3.model.schema import compare, decode_schema, encode_schema, schema_of
from dp3.model.wire import decode_tasks
from dp3.store.sqlite import open_store

HERE = Path(__file__).parent
CONFIG = HERE / "app" / "config"
PARTITIONS = 8
NEVER = {"year": 2100}
HOUR_US = 3_600_000_000


class Maker:
    """The application while it is made."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = root / "data"
        self.config = root / "app" / "config"
        shutil.copytree(HERE / "app", root / "app")
        open_store(self.data / "state", FakeClock(), partitions=PARTITIONS).close()

    # -- former models ---------------------------------------------------------------------------------
    def use_model(self, version: int) -> None:
        """Write the model of the first day (1), of the days after (2), or of the end (3)."""
        shutil.rmtree(self.config / "db_entities")
        shutil.copytree(CONFIG / "db_entities", self.config / "db_entities")
        if version < 3:
            self._change("device", lambda attribs: attribs["number"].update(data_type="int"))
            self._change("site", lambda attribs: attribs.update(floor=_plain("int")))
        if version < 2:
            self._change("device", lambda attribs: attribs.update(old=_plain("string")))
            words = "category<string;up,down,unknown,broken>"
            self._change("device", lambda attribs: attribs["state"].update(data_type=words))
            legacy = {"p": _plain("string"), "device": _plain("link<device;mirror=legacies>")}
            entity = {"id": "legacy", "name": "Legacy", "snapshot": True}
            self._write("legacy", {"entity": entity, "attribs": legacy})

    def _change(self, etype: str, change: Any) -> None:
        content = yaml.safe_load((self.config / "db_entities" / f"{etype}.yml").read_text())
        change(content["attribs"])
        self._write(etype, content)

    def _write(self, etype: str, content: Any) -> None:
        (self.config / "db_entities" / f"{etype}.yml").write_text(yaml.safe_dump(content, sort_keys=False))

    def update_model(self, version: int, now: str) -> None:
        """As `dp3 schema-update --yes`."""
        self.use_model(version - 1)
        with closed_in_order(Application(self.config, self.data, now)) as app:
            self.use_model(version)
            old, new = app.store.tracked_model().model, schema_of(load(self.config).model)
            assert old is not None
            changes = compare(decode_schema(old), new).destroyed
            assert changes
            assert begin_update(app.log, app.store, old, encode_schema(new), changes)
            finish_update(app.store, lambda reached: None)

    def open(self, now: str) -> Application:
        return Application(self.config, self.data, now)


def _plain(data_type: str) -> dict[str, Any]:
    return {"name": "x", "type": "plain", "data_type": data_type}


# -- what clients do -----------------------------------------------------------------------------------
def send(app: Application, points: story.Points, key: str | None = None) -> None:
    headers = {"Idempotency-Key": key} if key else None
    answer = app.request("POST", "/datapoints", points, headers)
    assert answer.status_code == 200, answer.text


def ask(app: Application, method: str, url: str, body: Any = None) -> Any:
    answer = app.request(method, url, body)
    assert answer.status_code in (200, 202), answer.text
    return answer.json()


def damage(app: Application, etype: str, eid: str) -> None:
    """An entry of the log whose bytes mean nothing."""
    app.log.append([Append([{partition_of(etype, eid, PARTITIONS): b"\xc1 damaged"}])])


# -- the days ------------------------------------------------------------------------------------------
def first_day(maker: Maker) -> None:
    """Everything comes for the first time, and some of it fails or goes."""
    maker.use_model(1)
    with closed_in_order(maker.open("2025-03-01T00:01:00Z")) as app, app.workers() as workers:
        send(app, story.first_plain(), "first")
        send(app, story.of_the_past())
        workers.settle()
        send(app, story.observed("2025-03-01T00:30:00Z", 1))
        send(app, story.leading_to("2025-03-01T00:30:00Z", "gone", "left", "nowhere"))
        send(app, story.failing("2025-03-01T00:30:00Z"))
        send(app, story.seen("2025-03-01T00:20:00Z", *story.IPS))
        damage(app, "site", "1")
        pass_times(app, workers, "01:00", "01:10", "03:05")
        send(app, [story.dp("device", "d9", "session", {"eid": "s1"}, t1="2025-03-01T03:10:00Z")])
        pass_times(app, workers, "06:00", "06:01", "06:10")
        ask(app, "DELETE", "/entity/device/gone")
        letters = ask(app, "GET", "/deadletters?limit=100")["data"]
        by_kind = {letter["kind"]: letter["id"] for letter in letters}
        ask(app, "POST", f"/deadletters/{by_kind['hook']}/retry")
        ask(app, "DELETE", f"/deadletters/{by_kind['result']}")
        workers.settle()
        send(app, story.observed("2025-03-01T11:30:00Z", 2))
        pass_times(app, workers, "12:00", "12:01", "12:20", "18:00", "18:01")
        measure(app, workers)
    with closed_in_order(maker.open("2025-03-01T23:00:00Z")) as app:
        send(app, story.of_the_past())
    maker.update_model(2, "2025-03-01T23:30:00Z")


def later_days(maker: Maker) -> None:
    """Some things change, most do not; what is old goes."""
    maker.use_model(2)
    with closed_in_order(maker.open("2025-03-01T23:40:00Z")) as app, app.workers() as workers:
        workers.settle()
        for day in (2, 3, 4):
            date = f"2025-03-0{day}"
            send(app, story.observed(f"{date}T00:00:00Z", day + 1), f"day-{day}")
            pass_times(app, workers, "00:00", "00:01", "00:10", "00:20", "02:00", date=date)
            archive(app, workers)
            pass_times(app, workers, "03:05", "04:00", "06:00", "06:01", "06:05", date=date)
            if day == 2:
                send(app, story.short_session(date))
                send(app, story.leading_to(f"{date}T07:00:00Z", "left", "late"))
                send(app, story.seen(f"{date}T07:00:00Z", "192.0.2.1", count=100))
                send(app, [story.dp("device", "left", "mode", "leave", t1=f"{date}T07:00:00Z")])
            if day == 3:
                send(app, story.others(f"{date}T06:30:00Z"))
                ask(app, "POST", "/control/refresh_module_config?module=watch")
                ask(app, "POST", "/control/refresh_on_entity_creation?etype=device")
                ask(app, "POST", "/entity/ip/192.0.2.40/ttl", {"kept": "2025-03-06T00:00:00Z"})
                send(app, [story.dp("device", "d1", "number", 7), story.dp("site", 2, "floor", 2)])
            pass_times(app, workers, "07:00", "12:00", "12:01", "12:20", date=date)
            measure(app, workers)
            ask(app, "POST", "/control/make_snapshots")
            workers.settle()
            pass_times(app, workers, "18:00", "18:01", "21:05", date=date)
        send(app, [story.dp("guarded", "bad three", "note", "must not come either")])
        ask(app, "POST", "/deadletters/drop?hook=correlate.Correlate.end&limit=9")
        workers.settle()


def last_day(maker: Maker) -> None:
    """The directory is left in the midst of work."""
    with closed_in_order(maker.open("2025-03-05T05:55:00Z")) as app, app.workers() as workers:
        send(app, story.observed("2025-03-05T05:50:00Z", 6))
        send(app, story.leading_to("2025-03-05T05:50:00Z", "late", "d1"))
        send(app, story.seen("2025-03-05T05:50:00Z", "192.0.2.2", "192.0.2.200"))
        pass_times(app, workers, "06:00", "06:01", "06:10", date="2025-03-05")
        ask(app, "POST", "/control/make_snapshots")
        send(app, story.others("2025-03-05T06:30:00Z"))
        pass_times(app, workers, "11:30", date="2025-03-05")
        send(app, story.observed("2025-03-05T11:20:00Z", 7))
        send(app, [story.dp("part", "lonely", "size", 9)])
        workers.settle()
        chores_that_wait(app, workers)
    with closed_in_order(maker.open("2025-03-05T12:25:00Z")) as app:
        send(app, story.observed("2025-03-05T12:15:00Z", 9))
        ask(app, "DELETE", "/entity/device/d6")
        send(app, story.seen("2025-03-05T12:15:00Z", "192.0.2.3", "192.0.2.7"))
        send(app, [story.dp("device", eid, "number", 12) for eid in story.DEVICES])
        send(app, [story.dp("site", 1, "floor", 1), story.dp("site", 1, "limit", 60)])
    maker.update_model(3, "2025-03-05T12:30:00Z")
    with closed_in_order(maker.open("2025-03-05T12:30:00Z")) as app:
        leave_in_the_midst(app)


def chores_that_wait(app: Application, workers: Workers) -> None:
    """What a deletion, a collection and a cleaning of history lead to comes to the outbox and no further."""
    ask(app, "DELETE", "/entity/device/late")
    for worker in workers.each:
        worker.step()
    app.go_to("2025-03-05T12:20:00Z")
    for worker in workers.each:
        worker.beat()
    while sum(worker.step() for worker in workers.each):
        pass


def leave_in_the_midst(app: Application) -> None:
    """One worker has processed a batch; a run of snapshots and a batch of periodic hooks are under way when
    both workers end; more was accepted and asked for meanwhile."""
    workers = Workers(app)
    first, second = workers.each
    first.step()
    for message in ("make_snapshots", "refresh_on_entity_creation?etype=device"):
        ask(app, "POST", f"/control/{message}")
    run = first.parts.snapshots.request()
    assert run is not None
    begin_run(app, workers)
    while first.drain():
        pass  # it comes to the log, and is not removed from the outbox
    while not rows(app.data.root, "control_progress"):
        first.parts.updates.step(patient=True)
    while not rows(app.data.root, "outbox WHERE lane = 4 AND partition = 1"):
        second.parts.updates.step(patient=True)
    send(app, story.observed("2025-03-05T12:30:00Z", 8))
    send(app, story.LAST_WORD, "last")
    send(app, story.failing("2025-03-05T12:30:00Z"))
    send(app, [story.dp("device", eid, "number", "twelve") for eid in story.DEVICES[:4]])
    send(app, [story.dp("guarded", "bad two", "note", "never"), story.dp("guarded", "new", "note", "well")])
    ask(app, "DELETE", "/entity/device/d7")
    ask(app, "POST", "/entity/ip/192.0.2.2/ttl", {"kept": "2025-03-05T20:00:00Z"})
    ask(app, "POST", "/entity/device/d9/set/owner", {"value": "the last one"})
    ask(app, "POST", "/control/refresh_module_config?module=watch")
    ask(app, "POST", "/deadletters/retry?kind=generation")
    damage(app, "device", "d1")
    first.beat()
    second.beat()
    first.die()
    second.stop()


def begin_run(app: Application, workers: Workers) -> None:
    """Step both workers through the beginning of a run, and the first one through some of its entities."""
    offsets = [Cursor(app.log, app.store, index, 2).offsets for index in (0, 1)]
    phases = [worker.parts.snapshots for worker in workers.each]
    while (run := app.store.open_run()) is not None and run.phase == "init":
        for phase, reached in zip(phases, offsets, strict=True):
            phase.step(reached, patient=True)
            phase.settle()
    for _ in range(1_000):
        phases[0].step(offsets[0], patient=False)
        if run and any(row.worker == 0 and row.mark.get("after") for row in app.store.worker_runs(run.id)):
            break
    phases[0].settle()


def rows(data: Path, table: str) -> int:
    """How many rows of a table of the state there are."""
    state = apsw.Connection(str(data / "state" / "state.db"), flags=apsw.SQLITE_OPEN_READONLY)
    count: int = state.execute(f"SELECT count(*) FROM {table}").get
    state.close()
    return count


def pass_times(app: Application, workers: Workers, *times: str, date: str = "2025-03-01") -> None:
    """Let the clock pass these times of a day, and the workers do what is due then."""
    for time in times:
        app.go_to(f"{date}T{time}:00Z")
        workers.settle()


def measure(app: Application, workers: Workers) -> None:
    seat = workers.each[0].seat
    etypes = app.config.model.entity_attributes
    assert SizeMeasurer(seat.store, seat.clock, seat.lease, NEVER, etypes).measure(app.clock.now_us())


def archive(app: Application, workers: Workers) -> None:
    seat = workers.each[0].seat
    settings = ArchiveSettings(NEVER, 36 * HOUR_US, None)
    Archiver(seat.log, seat.store, seat.clock, seat.lease, settings).run()


# -- what there must be ---------------------------------------------------------------------------------
def check(data: Path) -> None:
    """Everything that can be stored is there, and every kind of system task waits to be read."""
    state = apsw.Connection(str(data / "state" / "state.db"), flags=apsw.SQLITE_OPEN_READONLY)
    tables = [name for (name,) in state.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    positions = {(lane, p): offset for lane, p, offset in state.execute("SELECT * FROM position")}
    state.close()
    empty = [table for table in tables if not rows(data, table)]
    assert not empty, empty
    found = {type(chore) for chore in unread_chores(data, positions)}
    assert found == set(get_args(Chore)), found


def unread_chores(data: Path, positions: Mapping[tuple[int, int], int]) -> Iterator[Chore]:
    log = open_log(data, FakeClock())
    for entry in log.read(Lane.DERIVED, 0, 1 << 30):
        for partition, tasks in entry.slices.items():
            if entry.offset > positions[Lane.DERIVED, partition]:
                yield from (task.chore for task in decode_tasks(tasks) if task.chore is not None)
    log.close()


# -- the archive ---------------------------------------------------------------------------------------
def finish(data: Path) -> list[Path]:
    """Take what is in write-ahead logs into the files; returns those that are kept."""
    files = sorted([*data.glob("state/*.db"), *data.glob("log/*/*.seg")])
    for file in files:
        connection = apsw.Connection(str(file))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.close()
    left = [str(file.relative_to(data)) for file in data.rglob("*-wal")]
    assert not left, left
    return files


def pack(data: Path, files: list[Path]) -> None:
    with tarfile.open(ARCHIVE, "w:xz", preset=9) as archive:
        for file in files:
            member = archive.gettarinfo(file, str(file.relative_to(data)))
            member.uid = member.gid = member.mtime = 0
            member.uname = member.gname = ""
            with file.open("rb") as content:
                archive.addfile(member, content)


def places(app: Path) -> dict[str, str]:
    """Folders of the machine on which this runs, which tracebacks name, and what they are called instead."""
    return {str(app): "app", str(Path(sys.modules["dp3"].__file__ or "").parent): "dp3"}


def without_places(data: Path, app: Path) -> None:
    """Nothing of them is left, not even where something was overwritten."""
    connection = apsw.Connection(str(data / "state" / "state.db"))
    for place in places(app).items():
        connection.execute("UPDATE dead_letter SET traceback = replace(traceback, ?, ?)", place)
    connection.execute("VACUUM")
    connection.close()


def record() -> None:
    """Ask, in each phase of a life that begins where the directory ends."""
    recorded = [Recorded(question, {}) for question in with_following(all_questions())]
    with tempfile.TemporaryDirectory() as directory, closed_in_order(unpacked(Path(directory))) as app:
        for phase in live(app):
            for question, answers in recorded:
                answers[phase] = _portable(question.ask(app))
    write(recorded, PHASES)


def _portable(answer: Any) -> Any:
    text = json.dumps(answer)
    for place, name in places(HERE / "app").items():
        text = text.replace(place, name)
    return json.loads(text)


def with_following(questions: list[Question]) -> list[Question]:
    """These, and what continues after answers that are parts."""
    with tempfile.TemporaryDirectory() as directory, closed_in_order(unpacked(Path(directory))) as app:
        more = [following(question, question.ask(app)[1]) for question in questions]
    return [*questions, *filter(None, more)]


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        maker = Maker(Path(directory))
        first_day(maker)
        later_days(maker)
        last_day(maker)
        without_places(maker.data, maker.root / "app")
        check(maker.data)
        files = finish(maker.data)
        pack(maker.data, files)
    record()


if __name__ == "__main__":
    main()
