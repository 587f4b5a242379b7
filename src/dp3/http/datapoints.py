"""`POST /datapoints` as plain ASGI: the route that has to be fast."""

from collections import Counter
from collections.abc import Mapping
from hashlib import blake2b
from urllib.parse import parse_qs

from pydantic import TypeAdapter, ValidationError
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dp3.http.answers import Disconnected, Error, Refusal, failure, invalid, invalid_value, pydantic_errors
from dp3.http.conversion import Converter
from dp3.http.datapoint_log import DatapointLog
from dp3.http.intake import Intake
from dp3.http.pools import Pool
from dp3.http.validation import validate
from dp3.http.writing import Groups, Idempotency, Writer, tasks_of
from dp3.model.errors import Reject
from dp3.model.spec import ModelSpec

DATAPOINTS_PATH = "/datapoints"

MAX_KEY = 200
"""Length of an idempotency key."""

SMALL_BODY = 1 << 20
"""The digest of a larger body is computed off the event loop."""

_parse_bool = TypeAdapter(bool).validate_python


class Datapoints:
    """The ASGI application for `POST /datapoints`; path and method have been checked."""

    def __init__(
        self,
        model: ModelSpec,
        intake: Intake,
        writer: Writer,
        checks: Pool,
        *,
        good_log: DatapointLog | None = None,
        bad_log: DatapointLog | None = None,
    ) -> None:
        self._model = model
        self._intake = intake
        self._writer = writer
        self._checks = checks
        self._good_log = good_log
        self._bad_log = bad_log
        self._convert = Converter(model).convert
        self.refused: Counter[int] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._answer(scope, receive)
        except Refusal as refusal:
            self.refused[refusal.status] += 1
            response = refusal.response()
        except Disconnected:
            return
        except Exception:
            response = failure("POST /datapoints")
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        wait = wanted_wait(scope)
        key = idempotency_key(dict(scope["headers"]))
        await self._intake.admit()
        with self._intake.body(scope) as incoming:
            body = await incoming.read(receive)
            client = client_address(scope)
            tasks = tasks_of(await self._points(body, client))
            idempotency = await self._idempotency(key, body)
            response = await self._writer.write(tasks, wait=wait, idempotency=idempotency)
            if self._good_log:
                self._good_log.accepted(client, tasks)
            return response

    async def _points(self, body: bytes, client: str) -> Groups:
        try:
            return await self._convert(body)
        except Reject:
            return await self._validated(body, client)

    async def _validated(self, body: bytes, client: str) -> Groups:
        try:
            return await self._checks.run(validate, body, self._model)
        except Refusal as refusal:
            if self._bad_log and refusal.status == 422:
                self._bad_log.rejected(client, refusal.body["detail"])
            raise

    async def _idempotency(self, key: str | None, body: bytes) -> Idempotency | None:
        if key is None:
            return None
        if len(body) <= SMALL_BODY:
            return key, _digest(body)
        return key, await self._checks.run(_digest, body)


def client_address(scope: Scope) -> str:
    """The host that sent the request, as the server sees it."""
    client = scope.get("client")
    return client[0] if client else "unknown"


def wanted_wait(scope: Scope) -> bool:
    """The query parameter `wait`."""
    query: bytes = scope["query_string"]
    if not query:
        return False
    sent = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("wait", ["false"])[-1]
    try:
        return _parse_bool(sent)
    except ValidationError as error:
        raise invalid(wait_errors(error)) from None


def wait_errors(error: ValidationError) -> list[Error]:
    return pydantic_errors(error.errors(include_url=False), ["query", "wait"])


def idempotency_key(headers: Mapping[bytes, bytes]) -> str | None:
    """The `Idempotency-Key` header: 1–200 visible characters."""
    sent = headers.get(b"idempotency-key")
    if sent is None:
        return None
    if not 1 <= len(sent) <= MAX_KEY or not all(0x21 <= byte <= 0x7E for byte in sent):
        raise invalid_value(
            ["header", "Idempotency-Key"], f"Idempotency key must be 1 to {MAX_KEY} visible ASCII characters"
        )
    return sent.decode("ascii")


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=16).digest()
