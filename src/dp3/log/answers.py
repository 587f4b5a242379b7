"""Orders of entries, and answers to appends, the same for every log."""

from dp3.log.port import Append, Appended, IdempotencyConflict, Lane


def next_order(lane: Lane, last: int) -> int:
    """The first order above `last` that belongs to the lane: even in MAIN, odd in DERIVED."""
    following = last + 1
    return following + (following % 2 != lane)


def repeated(append: Append, digest: bytes, first: Appended) -> Appended | IdempotencyConflict:
    """The outcome of an append whose key was used before."""
    assert append.idempotency is not None
    key, wanted = append.idempotency
    if wanted == digest:
        return first
    return IdempotencyConflict(
        f"idempotency key {key!r} was used for a different request (entry {first.offset}); "
        "use a new key for a new request"
    )
