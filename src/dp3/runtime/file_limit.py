"""The number of files a process may have open."""

import resource

LEAST = 256
"""With less than this, files of the log and the state leave too little for connections."""

MOST = 65_536
"""More is of no use, even where the system allows it."""


class TooFewFiles(Exception):
    """The limit of open files is too small."""


def raise_file_limit() -> int:
    """Raise the soft limit of open files of this process as far as the hard one allows; returns it.

    Raises `TooFewFiles`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    limit = MOST if soft == resource.RLIM_INFINITY else soft
    if limit < LEAST:
        raise TooFewFiles(
            f"the limit of open files is {limit}, expected at least {LEAST}; raise it (ulimit -n)"
        )
    return limit
