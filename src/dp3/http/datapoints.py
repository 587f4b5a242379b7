"""`POST /datapoints` as plain ASGI: the route that has to be fast."""

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from hashlib import blake2b

from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import QueryParams
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dp3.http.answers import Disconnected, Refusal, failure, invalid, invalid_value, pydantic_errors
from dp3.http.conversion import Converter
from dp3.http.datapoint_log import DatapointLog
from dp3.http.intake import Intake
from dp3.http.parameters import client_address
from dp3.http.pieces import SMALL_BODY, Sent
from dp3.http.remarks import Remarked, Remarks
from dp3.http.services import Services
from dp3.http.unknown_names import Known
from dp3.http.validation import Validator
from dp3.http.warnings import Warnings, begin_warnings
from dp3.http.writing import Encoded, Groups, Idempotency, Writer, encode
from dp3.log.port import Appended
from dp3.model.errors import Reject
from dp3.repetitions import Repetitions

DATAPOINTS_PATH = "/datapoints"

MAX_KEY = 200
"""Length of an idempotency key."""

ENCODED_SHARE = 4
"""A request may take so many times `max_body` in the log: lists of small numbers are longer there than as
JSON."""

LARGE_DIGEST = 1 << 20
"""The digest of a larger body is computed off the event loop."""

_PARAMETERS = Known("query", "parameter", ["wait"])

_parse_bool = TypeAdapter(bool).validate_python


class Datapoints:
    """The ASGI application for `POST /datapoints`; path and method have been checked."""

    def __init__(
        self,
        services: Services,
        intake: Intake,
        writer: Writer,
        *,
        good_log: DatapointLog | None = None,
        bad_log: DatapointLog | None = None,
    ) -> None:
        settings = services.settings
        self._intake = intake
        self._writer = writer
        self._good_log = good_log
        self._bad_log = bad_log
        self._convert = Converter(services.model, settings.max_value).convert
        self._validate = Validator(services.model, settings.max_value).validate
        self._partitions = services.store.partitions
        self._max_encoded = ENCODED_SHARE * settings.max_body
        self._refuses = settings.unknown_keys == "refuse"
        self._clock = services.clock
        self.refused: Counter[int] = Counter()
        self.remarked = Remarked(Counter(), Repetitions())

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
        warnings = begin_warnings(scope)
        wait = wanted_wait(scope, warnings)
        key = idempotency_key(dict(scope["headers"]))
        await self._intake.admit()
        with self._intake.body(scope) as incoming:
            body = await incoming.read(receive)
            client = client_address(scope)
            idempotency = await self._idempotency(key, body)
            remarks = Remarks(client, self._clock.now_us(), refuses=self._refuses)
            encoded, appended = await self._append(body, remarks, idempotency)
            response = await self._writer.answer(encoded, appended, wait=wait)
            if self._good_log:
                self._good_log.accepted(client, encoded)
            if remarks:
                self.remarked.note(remarks, client)
                remarks.warn(warnings)
            return warnings.told_in(response)

    async def _append(
        self, body: Sent, remarks: Remarks, idempotency: Idempotency | None
    ) -> tuple[Encoded, Appended | None]:
        """Convert a body and append what is in it. The event loop does only what is small and obviously
        right. Who has a turn keeps it until the log has the data-points, lest they pile up."""
        if len(body) <= SMALL_BODY:
            try:
                encoded = self._encode(self._convert(body, remarks))
            except Reject:
                pass
            else:
                return encoded, await self._writer.append(encoded, idempotency)
        async with self._intake.turn(body):
            encoded = await self._intake.in_thread(self._encode_any, body, remarks)
            return encoded, await self._writer.append(encoded, idempotency)

    def _encode_any(self, body: Sent, remarks: Remarks) -> Encoded:
        if len(body) > SMALL_BODY:
            with suppress(Reject):
                return self._encode(self._convert(body, remarks))
        remarks.forget()
        try:
            return self._encode(self._validate(body, remarks))
        except Refusal as refusal:
            if self._bad_log and refusal.status == 422:
                self._bad_log.rejected(remarks.client, refusal.body["detail"])
            raise

    async def _idempotency(self, key: str | None, body: Sent) -> Idempotency | None:
        if key is None:
            return None
        if len(body) <= LARGE_DIGEST:
            return key, _digest(body)
        return key, await self._intake.in_thread(_digest, body)

    def _encode(self, groups: Iterable[Groups]) -> Encoded:
        return encode(groups, self._partitions, self._max_encoded)


def wanted_wait(scope: Scope, warnings: Warnings) -> bool:
    """The query parameter `wait`, the only one."""
    if not scope["query_string"]:
        return False
    sent = QueryParams(scope["query_string"])
    _PARAMETERS.check(sent, (), warnings)
    try:
        return _parse_bool(sent.get("wait", "false"))
    except ValidationError as error:
        raise invalid(pydantic_errors(error, ["query", "wait"])) from None


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


def _digest(body: Sent) -> bytes:
    return blake2b(body, digest_size=16).digest()
