"""`dp3 archive`: data-points of the archive, fed back or as Parquet, for tools that analyse them. `pyarrow`
comes with the extra `parquet`."""

import gzip
import hashlib
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress

from dp3.cli.common import fail
from dp3.cli.platform import DEFAULT_URL, ApiToken, Url, connect
from dp3.client import Client, ClientError
from dp3.common.utils import batched
from dp3.files import sync_path
from dp3.model.durations import aware

BATCH = 1_000
GZIP_MAGIC = b"\x1f\x8b"
READ_BYTES = 1 << 20

PARTIAL = ".partial"
ROW_GROUP = 100_000
"""Data-points of a row group: what is in memory at a time."""

_encode = msgspec.json.Encoder().encode

Files = Annotated[
    list[Path],
    typer.Argument(help="Files of the archive (.jsonl.gz or .jsonl).", exists=True, dir_okay=False),
]
Directory = Annotated[
    Path | None,
    typer.Option("--into", metavar="DIR", help="Where to write. Default: beside each FILE.", file_okay=False),
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    group = typer.Typer(help="The archive of raw data-points.", no_args_is_help=True)
    group.command("replay")(replay)
    group.command("parquet")(to_parquet)
    app.add_typer(group, name="archive")


def replay(files: Files, url: Url = DEFAULT_URL, token: ApiToken = None) -> None:
    """Send archived data-points to the platform again, in their order. What was sent within the last 24 hours
    is not added twice, so a replay that was interrupted can simply be repeated.

    Files with `derived` in their name hold what hooks returned: do not replay them where the same modules
    run, they return it again.
    """
    client = connect(url, token)
    with Progress(console=Console(stderr=True)) as progress:
        for file in files:
            task = progress.add_task(file.name, total=None)
            sent = 0
            for key, batch in _batches(file):
                _send(client, file, key, batch)
                sent += len(batch)
                progress.update(task, completed=sent, description=f"{file.name}: {sent:,}")
            progress.update(task, total=sent)
            typer.echo(f"{file}: {sent} data-points")


def to_parquet(files: Files, into: Directory = None) -> None:
    """Write archived data-points as Parquet, for tools that analyse them: FILE.jsonl.gz becomes FILE.parquet.

    Columns: type, id, attr, src, v (as JSON), c, t1, t2 (UTC). An existing file is replaced.
    """
    for file in files:
        path = (into or file.parent) / f"{_stem(file.name)}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            count = write_parquet(_rows(file), path)
        except ImportError:
            raise fail("Parquet needs pyarrow: pip install 'dp3-platform[parquet]'", 1) from None
        except (OSError, TypeError, ValueError) as error:
            raise fail(f"{file}: not written as {path}: {error}", 1) from None
        typer.echo(f"{path}: {count} data-points")


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    for number, point in _points(file):
        try:
            yield row_of(point)
        except (KeyError, TypeError, ValueError) as error:
            raise fail(f"{file}:{number}: not a data-point: {error!r}", 1) from None


def _stem(name: str) -> str:
    return name.removesuffix(".gz").removesuffix(".jsonl")


def _batches(file: Path) -> Iterator[tuple[str, list[tuple[int, dict[str, Any]]]]]:
    """Numbered data-points, with a key that is the same whenever the file is replayed."""
    digest = _digest(file)
    for number, batch in enumerate(batched(_points(file), BATCH)):
        yield f"archive-{digest}-{number}", list(batch)


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while part := content.read(READ_BYTES):
            digest.update(part)
    return digest.hexdigest()[:32]


def _points(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, data-point) without what it does not have."""
    with file.open("rb") as begun:
        packed = begun.read(2) == GZIP_MAGIC
    number = 0
    try:
        with gzip.open(file, "rb") if packed else file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    point = json.loads(line)
                    yield number, {name: value for name, value in point.items() if value is not None}
    except (OSError, EOFError, ValueError, AttributeError) as error:
        raise fail(f"{file}:{number}: expected one data-point as JSON in each line: {error}", 1) from None


def _send(client: Client, file: Path, key: str, batch: list[tuple[int, dict[str, Any]]]) -> None:
    try:
        client.send([point for _, point in batch], idempotency_key=key)
    except ClientError as error:
        lines = f"{batch[0][0]}-{batch[-1][0]}"
        raise fail(f"{file}:{lines}: not accepted, nothing of these lines was stored: {error}", 1) from None


def write_parquet(rows: Iterable[dict[str, Any]], path: Path) -> int:
    """Write a file of rows as `row_of` makes them, durably; returns how many there are.

    The file is complete or not there. Raises `ImportError` without `pyarrow`, `OSError` when the disk
    refuses, and `TypeError` or `ValueError` for what does not fit a column."""
    import pyarrow as pa
    from pyarrow import parquet

    text, time = pa.string(), pa.timestamp("us", tz="UTC")
    columns = {"type": text, "id": text, "attr": text, "src": text, "v": text}
    schema = pa.schema({**columns, "c": pa.float64(), "t1": time, "t2": time})
    partial = path.with_name(path.name + PARTIAL)
    count = 0
    try:
        with parquet.ParquetWriter(partial, schema, compression="zstd") as writer:
            for batch in batched(rows, ROW_GROUP):
                writer.write_table(pa.Table.from_pylist(batch, schema))
                count += len(batch)
        sync_path(partial)
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_path(path.parent)
    return count


def row_of(point: dict[str, Any]) -> dict[str, Any]:
    """A data-point with `v` as JSON text and aware times; None for what it does not have. Raises `KeyError`,
    `TypeError` or `ValueError` if it is none."""
    return {
        "type": point["type"],
        "id": str(point["id"]),
        "attr": point["attr"],
        "src": point.get("src"),
        "v": _encode(point["v"]).decode(),
        "c": point.get("c"),
        "t1": _time(point.get("t1")),
        "t2": _time(point.get("t2")),
    }


def _time(text: str | None) -> datetime | None:
    return None if text is None else aware(datetime.fromisoformat(text))
