"""Questions, what was answered to them in each phase, and what of answers can not be the same again."""

import json
import lzma
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from opening import Application

ANSWERS = Path(__file__).parent / "answers.json.xz"
"""`xz -dc` shows it: one answer a line."""

VOLATILE = "…"

TRIES = 10


class Question(NamedTuple):
    """A request. It changes nothing, or was answered before (`key` is that of the first request)."""

    method: str
    url: str
    body: Any = None
    key: str = ""

    @property
    def continues_text_search(self) -> bool:
        """True if it goes on after a page that version 0.1 gave."""
        return "fulltext_filters" in self.url and "cursor=" in self.url

    @property
    def _url_now(self) -> str:
        """The same question as it is asked today: version 0.1 told the backlog of each partition unasked."""
        return f"{self.url}?by_partition=true" if self.url == "/metrics" else self.url

    def ask(self, app: Application) -> Any:
        """The answer of an application: status, content, and whether it repeats an earlier one. An answer
        that was cut short, because the machine is busy, does not count."""
        headers = {"Idempotency-Key": self.key} if self.key else None
        for _ in range(TRIES):
            answer = app.request(self.method, self._url_now, self.body, headers)
            text = answer.headers["content-type"].startswith("text/plain")
            content = answer.text.splitlines() if text else answer.json()
            if not (isinstance(content, dict) and content.get("truncated")):
                break
        repeated = answer.headers.get("Idempotency-Replayed")
        return [answer.status_code, content, *([repeated] if repeated else [])]


class Recorded(NamedTuple):
    """A question and its answers by phase."""

    question: Question
    answers: dict[str, Any]


def read(phases: Sequence[str]) -> list[Recorded]:
    """What was recorded, with the answers of all phases."""
    found = []
    for entry in json.loads(lzma.decompress(ANSWERS.read_bytes())):
        answers: dict[str, Any] = {}
        for phase in phases:
            answers[phase] = entry[phase] if phase in entry else answers[phases[phases.index(phase) - 1]]
        found.append(Recorded(Question(*entry["ask"]), answers))
    return found


# -- what can not be compared --------------------------------------------------------------------------
SIZES = ("dp3_state_size_bytes", "dp3_log_size_bytes")
"""Sizes of files: the same content may take more or less room."""

DURATIONS = (
    "dp3_batch_duration_seconds",
    "dp3_packing_slice_seconds",
    "dp3_cleaning_slice_seconds",
    "dp3_hook_duration_seconds_total",
)
"""Once workers have worked, how long it took."""

PIECES = ("dp3_batches_total", "dp3_entity_cache_lookups_total")
"""What depends on the pieces into which workers divide their work, and so on how long it takes."""

NEW_METRICS = (
    "dp3_source_age_seconds",
    "dp3_remarked_datapoints",
    "dp3_snapshot_run_entities",
    "dp3_history_read_rows",
    "dp3_history_read_whole",
)


LEFT = "floor"
"""An attribute that left the model: its sizes are not told any more."""

_BELOW_MILLISECOND = re.compile(r"(?<=:\d\d)\.000\d{3}Z")


def comparable(answer: Any, question: Question, *, stored: bool) -> str:
    """An answer as text, without what differs each time. `stored`: no worker has worked yet, so everything
    was stored by version 0.1."""
    status, content, *more = json.loads(json.dumps(answer))
    content = _in_order(_without_news(content, question.url))
    if question.url == "/metrics":
        content = [_metric(line, SIZES if stored else SIZES + DURATIONS + PIECES) for line in content]
    elif not stored:
        content = _without_volatile(content, question.url)
    if "fulltext_filters" in question.url and content.get("cursor"):
        content["cursor"] = VOLATILE
    text = json.dumps([status, content, *more], ensure_ascii=False, indent=1)
    return text if stored else _BELOW_MILLISECOND.sub("Z", text)


def _without_news(content: Any, url: str) -> Any:
    """An answer without what version 0.1 did not tell: the age of sources, remarks about data-points,
    failures of hooks in a run and the types to which they may add values, times of runs and warnings in
    listings, which attributes have no values, how many entities a run looked at, and which hook had left a
    value that can not be stored. And without what it told: observations of a master record outside of a range
    of times, rows that were looked at in vain."""
    if url == "/metrics":
        return [line for line in content if not any(name in line for name in NEW_METRICS)]
    if "/master?" in url and "date_from" in url and isinstance(content, dict):
        return {attr: value for attr, value in content.items() if not _is_history(value)}
    if url.startswith("/telemetry/retention"):
        return [{**passed, "rows_looked_at": VOLATILE} for passed in content]
    if url.startswith("/telemetry/metadata"):
        for run in content:
            run.pop("hook_failures", None)
            run["detail"].pop("gets_more", None)
            run.pop("entities", None)
        return content
    if url == "/telemetry/snapshot_summary":
        content.pop("entities", None)
        return content
    if url == "/telemetry/attribute_bson_sizes":
        for report in content.values():
            sizes = report["attributes"].items()
            report["attributes"] = {attr: size for attr, size in sizes if size["count"] and attr != LEFT}
        return content
    if isinstance(content, dict) and url.partition("?")[0].endswith(("/get", "/count")):
        return {key: content[key] for key in content if key not in ("snapshot", "warnings")}
    if url.startswith("/deadletters?"):
        unstorable = [letter for letter in content["data"] if "cannot be stored" in letter["reason"]]
        for letter in unstorable:
            letter |= {"module": "", "hook": "", "context": {"kind": "correlation"}}
        if "module=" in url:
            content["data"] = [letter for letter in content["data"] if letter not in unstorable]
            content["count"] = len(content["data"])
    return content


def _is_history(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) and "c" in one for one in value)


def _in_order(content: Any) -> Any:
    """An answer with several values, and their confidences, in an order of its own: version 0.1 listed them
    in the order in which they had first appeared."""
    if isinstance(content, list):
        return [_in_order(item) for item in content]
    if not isinstance(content, dict):
        return content
    found = {key: _in_order(value) for key, value in content.items()}
    for name, shares in found.items():
        values = found.get(name.removesuffix("#c"))
        if name.endswith("#c") and isinstance(shares, list):
            if isinstance(values, list):
                values[:], shares[:] = zip(
                    *sorted(zip(values, shares, strict=True), key=json.dumps), strict=True
                )
            else:
                shares.sort()
    if isinstance(found.get("current_value"), list):
        found["current_value"].sort(key=json.dumps)
    return found


def _metric(line: str, volatile: tuple[str, ...]) -> str:
    """The line without its value, if its metric is volatile."""
    return f"{line.rpartition(' ')[0]} {VOLATILE}" if line.startswith(volatile) else line


def _without_volatile(content: Any, url: str) -> Any:
    """An answer without what depends on pieces: where the derived lane ends, the order in which hooks of
    different entities return something or fail, whether a collection still sees what it has found. Tracebacks
    name lines of the program; their last line is what was raised."""
    if isinstance(content, list):
        return [_without_volatile(item, url) for item in content]
    if not isinstance(content, dict):
        return content
    found = {key: _without_volatile(value, url) for key, value in content.items()}
    if url == "/telemetry/log" and found.get("lane") == "derived":
        found |= {"position": VOLATILE, "head": VOLATILE}
    if "traceback" in found:
        found |= {"id": VOLATILE, "traceback": found["traceback"].strip().rpartition("\n")[2]}
    if "looked_at" in found:
        found["looked_at"] = VOLATILE
    if ("/raw/get" in url or url.startswith("/deadletters")) and isinstance(found.get("data"), list):
        found["data"].sort(key=json.dumps)
    return {key: VOLATILE if key.endswith("/duration_ns") else value for key, value in found.items()}
