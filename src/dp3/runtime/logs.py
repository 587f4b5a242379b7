"""Logging of the program's processes."""

import logging
import sys

FORMAT = "%(asctime)s,%(threadName)s,%(name)s,[%(levelname)s] %(message)s"

NOISY = ("apscheduler", "uvicorn.access", "asyncio")
"""Third-party loggers that are held at WARNING."""


def set_up_logging(verbose: bool, process: str) -> None:
    """Log to stderr; `process` names the process in every line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(f"{process} {FORMAT}"))
    logging.basicConfig(level=logging.DEBUG if verbose else logging.INFO, handlers=[handler], force=True)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
