"""Tokens of clients of the API."""

from collections.abc import Callable

import pytest

from dp3.clock import FakeClock
from dp3.store.ports.errors import TokenExists
from dp3.store.ports.state import State
from dp3.store.ports.tokens import PREFIX, SECRET_BYTES, Token, digest_of, new_secret

A, B = digest_of(b"a"), digest_of(b"b")
HOUR_US = 3_600_000_000


def test_a_token_is_kept_as_it_was_made(store: State, clock: FakeClock) -> None:
    made = clock.now_us()
    store.tokens.create("sensor", "ingest", A, None)
    store.tokens.create("grafana", "read", B, made + HOUR_US)
    expected = [
        Token("sensor", "ingest", A, made, None, None),
        Token("grafana", "read", B, made, made + HOUR_US, None),
    ]
    assert store.tokens.all() == store.tokens.not_revoked() == expected


def test_a_token_that_was_revoked_is_not_forgotten(store: State, clock: FakeClock) -> None:
    assert not store.tokens.ever_made()
    store.tokens.create("sensor", "ingest", A, None)
    clock.advance(5)
    assert store.tokens.revoke("sensor")
    assert store.tokens.not_revoked() == []
    assert [token.revoked for token in store.tokens.all()] == [clock.now_us()]
    assert store.tokens.ever_made()


def test_only_a_token_that_counts_can_be_revoked(store: State) -> None:
    store.tokens.create("sensor", "ingest", A, None)
    assert [store.tokens.revoke(name) for name in ("sensor", "sensor", "other")] == [True, False, False]


def test_a_name_is_that_of_one_live_token(store: State) -> None:
    store.tokens.create("sensor", "ingest", A, None)
    with pytest.raises(TokenExists, match="'sensor'"):
        store.tokens.create("sensor", "admin", B, None)
    assert [(token.role, token.digest) for token in store.tokens.all()] == [("ingest", A)]


def test_the_name_of_a_revoked_token_can_be_used_again(store: State) -> None:
    store.tokens.create("sensor", "ingest", A, None)
    store.tokens.revoke("sensor")
    store.tokens.create("sensor", "admin", B, None)
    assert [token.role for token in store.tokens.not_revoked()] == ["admin"]
    assert [token.role for token in store.tokens.all()] == ["ingest", "admin"]


def test_the_name_of_an_expired_token_can_be_used_again(store: State, clock: FakeClock) -> None:
    end = clock.now_us() + HOUR_US
    store.tokens.create("sensor", "ingest", A, end)
    clock.advance(3_599)
    with pytest.raises(TokenExists):
        store.tokens.create("sensor", "ingest", B, None)
    clock.advance(1)
    store.tokens.create("sensor", "ingest", B, None)
    assert [token.digest for token in store.tokens.not_revoked()] == [B]


def test_a_token_expires_at_its_time() -> None:
    token = Token("sensor", "ingest", A, 10, 20, None)
    assert [token.is_expired(now) for now in (19, 20)] == [False, True]
    assert not token._replace(expires=None).is_expired(1 << 60)


def test_other_processes_see_tokens_at_once(store: State, open_state: Callable[..., State]) -> None:
    other = open_state()
    store.tokens.create("sensor", "ingest", A, None)
    assert [token.name for token in other.tokens.not_revoked()] == ["sensor"]
    other.tokens.revoke("sensor")
    assert store.tokens.not_revoked() == []


def test_tokens_survive_a_restart(open_state: Callable[..., State]) -> None:
    store = open_state()
    store.tokens.create("sensor", "ingest", A, None)
    before = store.tokens.all()
    store.close()
    assert open_state().tokens.all() == before


def test_secrets_are_long_random_and_recognisable() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(secret.startswith(PREFIX) for secret in secrets)
    assert {len(secret) - len(PREFIX) for secret in secrets} == {-(-SECRET_BYTES * 8 // 6)}
