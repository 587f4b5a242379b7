"""Entry point of the program."""

import os
import signal
import sys

from dp3.runtime.interpreter import load_quickly

SERVING = {"run", "api", "worker"}
"""Commands that end with status 0 when they are told to stop, however early."""


def main() -> None:
    """Run the command. How a process stops that is told to before it has started is settled first: loading
    the program takes a second, and nothing is open meanwhile."""
    if SERVING.intersection(sys.argv[1:2]):
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _stop_early)
        # A hang-up ends nothing; it waits until `on_hang_up` takes it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})

    load_quickly()

    from dp3.cli.main import main as run_command

    run_command()


def _stop_early(_number: int, _frame: object) -> None:
    os.write(2, f"dp3 {sys.argv[1]}: stopped before it had started\n".encode())
    os._exit(0)


if __name__ == "__main__":
    main()
