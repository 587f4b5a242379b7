"""Notices when the clock is set, by comparing it with the monotonic one, and how far it can be trusted."""

import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from dp3.clock import Clock, to_datetime
from dp3.files import FILE_MODE

STEP_US = 1_000_000
"""Smaller differences are those of a clock that is being adjusted, or of a busy machine."""

FAR_AHEAD_US = 3_600_000_000
"""A clock that was set ahead by more may be wrong: what deletes by age would delete too much."""

PROBATION_US = 900_000_000
"""It is trusted again when it has agreed with the monotonic one for so long."""

logger = logging.getLogger(__name__)


class ClockWatch:
    """Watches the clock of a process. `look` is called often, by one thread; the rest may be asked by any.

    `last_known_us` is a time that is known to have been, 0 if none is: a clock that is far ahead of it at the
    start may be wrong, or the program did not run for long. The file `distrust` is there as long as the clock
    is not trusted, so that a restart does not change that."""

    def __init__(self, clock: Clock, last_known_us: int = 0, distrust: Path | None = None) -> None:
        self._clock = clock
        self._file = distrust
        self._offset = clock.now_us() - clock.monotonic_us()
        self._trusted_from = 0
        self._noticed = False
        self._on_jump: list[Callable[[], None]] = []
        if distrust is not None and distrust.exists():
            self._distrust()
            logger.warning("the clock was set shortly before the program ended; what deletes by age waits")
        elif last_known_us and clock.now_us() - last_known_us > FAR_AHEAD_US:
            self._distrust()
            logger.info(
                "nothing is known to have happened since %s; what deletes by age waits for %s",
                to_datetime(last_known_us),
                timedelta(microseconds=PROBATION_US),
            )

    def on_jump(self, call: Callable[[], None]) -> None:
        """Have something called, in the thread that looks, whenever the clock was set."""
        self._on_jump.append(call)

    def look(self) -> bool:
        """True if the clock was set since the last look, or has come to be trusted again: what waits for a
        time is to look at it anew."""
        is_trusted = self.is_trusted
        if self._trusted_from and is_trusted:
            self._trusted_from, self._noticed = 0, True
            self._note(distrusted=False)
            logger.info("the clock is trusted again; what deletes by age goes on")
        noticed, self._noticed = self._noticed, False
        if noticed:
            for call in self._on_jump:
                call()
        return noticed

    @property
    def is_trusted(self) -> bool:
        """False while nothing may be deleted because of its age. Asked after the time was read that ages are
        counted from, it knows whether that was wrong."""
        monotonic = self._clock.monotonic_us()
        offset = self._clock.now_us() - monotonic
        if abs(step := offset - self._offset) >= STEP_US:
            self._jumped(step, offset)
        return self._trusted_from <= monotonic

    def _jumped(self, step: int, offset: int) -> None:
        self._offset = offset
        logger.warning(
            "the clock was set %s by %s, to %s",
            "ahead" if step > 0 else "back",
            timedelta(microseconds=abs(step)),
            to_datetime(self._clock.now_us()),
        )
        if step > FAR_AHEAD_US or self._trusted_from:
            self._distrust()
            wait = timedelta(microseconds=PROBATION_US)
            logger.warning("what deletes by age waits until the clock has been right for %s", wait)
        self._noticed = True

    def _distrust(self) -> None:
        self._trusted_from = self._clock.monotonic_us() + PROBATION_US
        self._note(distrusted=True)

    def _note(self, *, distrusted: bool) -> None:
        """A disk that is full is no reason to end; a restart would rather trust the clock."""
        if self._file is None:
            return
        try:
            if distrusted:
                self._file.touch(FILE_MODE)
            else:
                self._file.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("whether the clock is trusted can not be noted for the next start: %s", error)
