"""`python -m kit.readers PORT CLIENTS TARGET…`: clients that ask again and again without a pause.

When its input ends it tells what the answers were."""

import asyncio
import json
import sys
from collections import Counter


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def read_on(port: int, target: str, answers: Counter[str]) -> None:
    """One connection; whoever is refused asks again at once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    while True:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = head.partition("content-length: ")[2].split("\r\n")[0]
        await reader.readexactly(int(length))
        status = head.split(" ", 2)[1]
        answers[status if status != "503" or "retry-after: " in head else "503 without retry-after"] += 1


async def main(port: int, clients: int, targets: list[str]) -> None:
    answers: Counter[str] = Counter()
    readers = [asyncio.create_task(read_on(port, targets[i % len(targets)], answers)) for i in range(clients)]
    tell("reading")
    await asyncio.to_thread(sys.stdin.read)
    for reader in readers:
        reader.cancel()
    for ended in await asyncio.gather(*readers, return_exceptions=True):
        if not isinstance(ended, asyncio.CancelledError):
            answers[repr(ended)] += 1
    tell(json.dumps(answers))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
