"""A flag that a module shares with the platform."""

from threading import Lock


class SharedFlag:
    """A switch within one process, such as "derived values must be computed again".

    `banner` says in logs what it is for. Any thread may set and read it.
    """

    def __init__(self, flag: bool = False, banner: str = "") -> None:
        self._lock = Lock()
        self._raised: object | None = None
        self._banner = banner
        self.set(flag)

    def set(self, flag: bool = True) -> None:
        """Raise the flag (or give it the state `flag`)."""
        with self._lock:
            self._raised = object() if flag else None

    def unset(self) -> None:
        """Lower the flag."""
        self.set(False)

    def isset(self) -> bool:
        """True while the flag is raised."""
        return self._raised is not None

    @property
    def raised(self) -> object | None:
        """Stands for the last time that the flag was raised; None while it is lowered."""
        return self._raised

    def lower(self, raised: object) -> None:
        """Lower the flag, unless it was raised again since it was `raised`."""
        with self._lock:
            if self._raised is raised:
                self._raised = None

    def __str__(self) -> str:
        return str(self.isset())

    def __repr__(self) -> str:
        flag = self.isset()
        return f"SharedFlag({self._banner!r}, {flag})" if self._banner else f"SharedFlag({flag})"
