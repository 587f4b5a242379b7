"""A flag that a module shares with the platform."""


class SharedFlag:
    """A switch within one process, such as "derived values must be computed again".

    `banner` says in logs what it is for. Setting and reading are single assignments, so any thread may
    do both without a lock.
    """

    def __init__(self, flag: bool = False, banner: str = "") -> None:
        self._flag = flag
        self._banner = banner

    def set(self, flag: bool = True) -> None:
        """Raise the flag (or give it the state `flag`)."""
        self._flag = flag

    def unset(self) -> None:
        """Lower the flag."""
        self._flag = False

    def isset(self) -> bool:
        """Whether the flag is raised."""
        return self._flag

    def __str__(self) -> str:
        return str(self._flag)

    def __repr__(self) -> str:
        return f"SharedFlag({self._banner!r}, {self._flag})" if self._banner else f"SharedFlag({self._flag})"
