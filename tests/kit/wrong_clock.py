"""A clock of the real program that tests set."""

import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")


class WrongClock:
    """The clock of the programs that are started after this was made; right at first."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "clock"
        self._library = directory / "wrong_clock.so"
        command = ["gcc", "-shared", "-fPIC", "-O2", "-o", str(self._library), str(SOURCE), "-ldl"]
        subprocess.run(command, check=True)
        self.file.write_bytes(struct.pack("<q", 0))

    @property
    def environment(self) -> dict[str, str]:
        """To be added to that of a program."""
        return {"LD_PRELOAD": str(self._library), "DP3_TEST_CLOCK": str(self.file)}

    def set(self, seconds: float) -> None:
        """Wrong by so much from now on, for programs that run as well."""
        with self.file.open("r+b") as file:
            file.write(struct.pack("<q", round(seconds * 1e9)))
