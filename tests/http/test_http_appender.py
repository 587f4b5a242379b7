"""Group commit, on the real log."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from dp3.clock import FakeClock
from dp3.log.appender import Appender, AppenderBusy, AppenderClosed
from dp3.log.port import Append, Appended, IdempotencyConflict, Lane, Log, LogFull
from dp3.log.sqlite import open_log


class Gate:
    """The log, with a gate before `append` so that a test decides when the disk is ready."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self.open = threading.Event()
        self.entered = threading.Event()
        self.groups: list[int] = []
        self.full = False

    def append(self, appends: Sequence[Append]) -> list[Appended | IdempotencyConflict]:
        self.entered.set()
        assert self.open.wait(10)
        if self.full:
            raise LogFull("no space left")
        self.groups.append(len(appends))
        return self._log.append(appends)


def append_here(appender: Appender, append: Append) -> Appended:
    """Append from an event loop of this thread's own."""
    return asyncio.run(appender.append(append))


def some(i: int = 0, key: str | None = None) -> Append:
    body = b"%d" % i
    return Append([{0: body}], None if key is None else (key, body))


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    log = open_log(tmp_path, FakeClock())
    yield log
    log.close()


@pytest.fixture
def gate(log: Log) -> Gate:
    return Gate(log)


@pytest.fixture
def appender(gate: Gate) -> Iterator[Appender]:
    appender = Appender(gate, max_waiting=50)  # type: ignore[arg-type]
    yield appender
    gate.open.set()
    appender.close()


def test_appends_that_arrive_during_a_commit_share_the_next_one(
    appender: Appender, gate: Gate, log: Log
) -> None:
    async def scenario() -> list[Appended]:
        first = asyncio.create_task(appender.append(some(0)))
        await asyncio.to_thread(gate.entered.wait)
        others = [asyncio.create_task(appender.append(some(i))) for i in range(1, 41)]
        await asyncio.sleep(0)
        gate.open.set()
        return list(await asyncio.gather(first, *others))

    appended = asyncio.run(scenario())
    assert gate.groups == [1, 40]
    assert [each.offset for each in appended] == list(range(1, 42))
    assert [entry.slices[0] for entry in log.read(Lane.MAIN, 0, 1 << 20)] == [b"%d" % i for i in range(41)]


def test_a_conflict_is_the_problem_of_its_request_alone(appender: Appender, gate: Gate) -> None:
    async def scenario() -> list[Appended | BaseException]:
        first = asyncio.create_task(appender.append(some(0)))
        await asyncio.to_thread(gate.entered.wait)
        group = [appender.append(append) for append in (some(1, "k"), some(2, "k"), some(1, "k"), some(3))]
        tasks = [asyncio.create_task(coroutine) for coroutine in group]
        await asyncio.sleep(0)
        gate.open.set()
        await first
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    accepted, conflict, repeated, other = asyncio.run(scenario())
    assert isinstance(accepted, Appended)
    assert isinstance(other, Appended)
    assert isinstance(conflict, IdempotencyConflict)
    assert repeated == accepted._replace(repeated=True)


def test_a_full_log_is_reported_to_every_request_and_forgotten_when_it_works_again(
    appender: Appender, gate: Gate
) -> None:
    gate.open.set()
    gate.full = True
    for _ in range(2):
        with pytest.raises(LogFull):
            append_here(appender, some())
    assert appender.failure(60) == "LogFull: no space left"
    assert appender.failure(0) is None
    gate.full = False
    assert append_here(appender, some()).offset == 1
    assert appender.failure(60) is None


def test_the_number_of_waiting_appends_is_bounded(appender: Appender, gate: Gate) -> None:
    async def scenario() -> list[Appended | BaseException]:
        first = asyncio.create_task(appender.append(some()))
        await asyncio.to_thread(gate.entered.wait)
        tasks = [asyncio.create_task(appender.append(some(i))) for i in range(60)]
        await asyncio.sleep(0)
        gate.open.set()
        await first
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    outcomes = asyncio.run(scenario())
    assert [type(outcome) for outcome in outcomes] == [Appended] * 50 + [AppenderBusy] * 10


def test_a_cancelled_request_does_not_disturb_its_group(appender: Appender, gate: Gate, log: Log) -> None:
    async def scenario() -> Appended:
        cancelled, kept = (asyncio.create_task(appender.append(some(i))) for i in range(2))
        await asyncio.to_thread(gate.entered.wait)
        cancelled.cancel()
        gate.open.set()
        return await kept

    assert asyncio.run(scenario()).offset == 2


def test_several_event_loops_can_append_at_once(appender: Appender, gate: Gate, log: Log) -> None:
    gate.open.set()

    def loop() -> None:
        async def many() -> None:
            await asyncio.gather(*(appender.append(some(i)) for i in range(10)))

        asyncio.run(many())

    threads = [threading.Thread(target=loop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.head(Lane.MAIN).offset == 40


async def send(appender: Appender, times: int) -> None:
    for i in range(times):
        await appender.append(some(i))


async def begin_with(
    appender: Appender, gate: Gate, times: int, others: Sequence[int]
) -> list[asyncio.Task[None]]:
    """Senders of so many appends each: the first one's first is in a group of its own, those of the others
    wait meanwhile."""
    first = asyncio.create_task(send(appender, times))
    await asyncio.to_thread(gate.entered.wait)
    tasks = [asyncio.create_task(send(appender, times)) for times in others]
    await asyncio.sleep(0)
    gate.open.set()
    return [first, *tasks]


def test_those_that_were_answered_together_share_the_next_commit(log: Log, gate: Gate) -> None:
    appender = Appender(gate, gather_s=60)  # type: ignore[arg-type]

    async def eight_senders() -> None:
        await asyncio.gather(*await begin_with(appender, gate, 21, [20] * 7))

    asyncio.run(asyncio.wait_for(eight_senders(), 30))
    appender.close()
    assert gate.groups == [1] + [8] * 20


def test_a_lone_sender_waits_for_nobody(log: Log, gate: Gate) -> None:
    gate.open.set()
    appender = Appender(gate, gather_s=60)  # type: ignore[arg-type]
    asyncio.run(asyncio.wait_for(send(appender, 20), 30))
    appender.close()
    assert gate.groups == [1] * 20


def test_those_that_do_not_come_again_are_waited_for_only_shortly(log: Log, gate: Gate) -> None:
    appender = Appender(gate, gather_s=0.05)  # type: ignore[arg-type]

    async def one_goes_on() -> None:
        await asyncio.gather(*await begin_with(appender, gate, 1, [1, 5]))

    asyncio.run(asyncio.wait_for(one_goes_on(), 30))
    appender.close()
    assert sum(gate.groups) == 7


def test_close_does_not_wait_for_more(log: Log, gate: Gate) -> None:
    appender = Appender(gate, gather_s=60)  # type: ignore[arg-type]

    async def one_waits_for_the_other() -> None:
        first, second = await begin_with(appender, gate, 1, [1])
        await first
        await asyncio.wait_for(asyncio.to_thread(appender.close), 30)
        await second

    asyncio.run(one_waits_for_the_other())
    assert gate.groups == [1, 1]


def test_close_writes_what_waits_and_refuses_what_comes_later(log: Log, gate: Gate) -> None:
    appender = Appender(gate)  # type: ignore[arg-type]
    threads = [threading.Thread(target=append_here, args=(appender, some(i))) for i in range(5)]
    for thread in threads:
        thread.start()
    assert gate.entered.wait(10)
    gate.open.set()
    for thread in threads:
        thread.join()
    appender.close()
    appender.close()
    assert log.head(Lane.MAIN).offset == 5
    with pytest.raises(AppenderClosed):
        append_here(appender, some())
