"""When a benchmark means nothing."""


class BenchFailed(Exception):
    """The program did not do what it should have: its figures mean nothing."""
