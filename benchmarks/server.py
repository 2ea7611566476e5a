"""
A server that speaks Segmind's poll wire over TLS, in a process of its own, and counts what it sees.

Orders on its standard input, one JSON object a line; each is answered by one line:
``{"durations": [...], "missing": bool}`` forgets everything and starts these jobs now; ``{"report": true}`` tells what
was seen. Not the emulator: that one paints pictures and keeps a ledger, which would be measured along.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

PREFIX = b"/workflows/request/"


@dataclass
class Seen:
    """
    What happened since the jobs were started.

    :param durations: seconds that each job lasts.
    :param missing: whether a pending job is a 404, which is all that some clients understand.
    """

    durations: list[float] = field(default_factory=list)
    missing: bool = False
    started: float = field(default_factory=time.monotonic)
    polls: int = 0
    early: int = 0
    late: dict[int, float] = field(default_factory=dict)
    connections: int = 0
    most_open: int = 0
    first_at: float | None = None
    last_at: float = 0.0

    def report(self) -> dict[str, Any]:
        """Return it as JSON can hold it; ``late`` has the seconds from done to seen of each job that was seen."""
        return {
            "jobs": len(self.durations),
            "polls": self.polls,
            "pending": self.early,
            "connections": self.connections,
            "most_open": self.most_open,
            "late": sorted(self.late.values()),
            "seconds": self.last_at - (self.first_at or 0.0),
        }


def answer(status: str, body: dict[str, Any]) -> bytes:
    """Return a whole HTTP answer."""
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


PENDING = answer("200 OK", {"output": "", "status": "PROCESSING"})
MISSING = answer("404 Not Found", {"error": "Request not found"})
UNKNOWN = answer("400 Bad Request", {"error": "Incorrect path"})
OUTPUT = [{"keyname": "body_swap_image", "value": {"data": "https://images.segmind.com/x.png", "type": "image"}}]
COMPLETED = answer("200 OK", {"status": "COMPLETED", "output": json.dumps(OUTPUT)})


class Polls:
    """All connections of the server, and what was seen on them."""

    def __init__(self) -> None:
        self.seen = Seen()
        self.open = 0

    def reply(self, target: bytes) -> bytes:
        """Answer one request."""
        seen = self.seen
        number = target.removeprefix(PREFIX)
        if not target.startswith(PREFIX) or not number.isdigit() or int(number) >= len(seen.durations):
            return UNKNOWN
        now = time.monotonic()
        seen.polls += 1
        seen.first_at = now if seen.first_at is None else seen.first_at
        seen.last_at = now
        late = now - seen.started - seen.durations[int(number)]
        if late < 0:
            seen.early += 1
            return MISSING if seen.missing else PENDING
        seen.late.setdefault(int(number), late)
        return COMPLETED


class Wire(asyncio.Protocol):
    """One connection; requests have no body."""

    def __init__(self, polls: Polls) -> None:
        self._polls = polls
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it; over TLS this comes after the handshake."""
        self._transport = transport
        polls = self._polls
        polls.open += 1
        polls.seen.connections += 1
        polls.seen.most_open = max(polls.seen.most_open, polls.open)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it."""
        self._polls.open -= 1

    def data_received(self, data: bytes) -> None:
        """Answer every whole request."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            target = self._buffer[:end].split(b" ", 2)[1]
            self._buffer = self._buffer[end + 4 :]
            self._transport.write(self._polls.reply(target))  # type: ignore[attr-defined]


async def main(certificate: str) -> None:
    """Serve until the standard input ends; the first line printed has the port."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    polls = Polls()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Wire(polls), "127.0.0.1", 0, ssl=tls, backlog=16384)
    say({"port": server.sockets[0].getsockname()[1]})
    orders = asyncio.StreamReader(limit=2**24)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        order = json.loads(line)
        if "durations" in order:
            polls.seen = Seen(order["durations"], order["missing"])
            # The connections of the variant before are gone, or else they would be counted as this one's.
            say({"open": polls.open})
        else:
            say(polls.seen.report())
    server.close()


def say(words: dict[str, Any]) -> None:
    """Print one line."""
    print(json.dumps(words), flush=True)


if __name__ == "__main__":
    # As fast as a server gets, so that it is the client that is measured.
    with suppress(ImportError):
        import uvloop

        uvloop.install()
    asyncio.run(main(sys.argv[1]))
