"""
Segmind's poll wire over TLS, as cheap as Python can serve it, and an exact count of what was asked.

``python -m benchmarks.polling_server JOBS FACTOR CERTIFICATE PENDING_STATUS`` prints its port and serves until killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
import time
from statistics import mean, quantiles

from benchmarks.polling_jobs import durations

OUTPUT = json.dumps(
    [{"keyname": "body_swap_image", "value": {"data": "https://images.segmind.com/x.png", "type": "image"}}]
)
DONE = json.dumps({"status": "COMPLETED", "output": OUTPUT}).encode()
PENDING = b'{"status":"PROCESSING","output":""}'
PATH = b"/workflows/request/"


class Counter:
    """What the server saw."""

    def __init__(self, seconds: list[float], pending: int) -> None:
        self.seconds = seconds
        self.pending = pending
        self.begin()

    def begin(self) -> None:
        """Start all jobs now, and count anew."""
        self.began = time.monotonic()
        self.polls = self.accepted = self.open = self.most = 0
        self.seen: dict[int, float] = {}

    def answer(self, path: bytes) -> tuple[int, bytes]:
        """Answer one request."""
        if path.startswith(PATH):
            return self._poll(int(path[len(PATH) :].split(b"?")[0]))
        if path == b"/begin":
            self.begin()
        return 200, json.dumps(self.stats()).encode()

    def _poll(self, number: int) -> tuple[int, bytes]:
        self.polls += 1
        late = time.monotonic() - self.began - self.seconds[number]
        if late < 0:
            return self.pending, PENDING
        self.seen.setdefault(number, late)
        return 200, DONE

    def stats(self) -> dict[str, float]:
        """Return all counts; times in seconds."""
        late = sorted(self.seen.values())
        return {
            "polls": self.polls,
            "connections": self.accepted,
            "most_open": self.most,
            "delivered": len(late),
            "late_mean": mean(late) if late else 0.0,
            "late_p95": quantiles(late, n=20)[-1] if len(late) > 1 else 0.0,
        }


class Connection(asyncio.Protocol):
    """One connection of a client: GETs without a body, one after the other."""

    def __init__(self, counter: Counter) -> None:
        self.counter = counter
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        self.transport = transport
        self.counter.accepted += 1
        self.counter.open += 1
        self.counter.most = max(self.counter.most, self.counter.open)

    def connection_lost(self, exc: Exception | None) -> None:
        """Count that it is gone."""
        self.counter.open -= 1

    def data_received(self, data: bytes) -> None:
        """Answer every whole request."""
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
            status, body = self.counter.answer(head.split(b" ", 2)[1])
            fields = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            self.transport.write(fields % (status, len(body)) + body)  # type: ignore[attr-defined]


async def serve(jobs: int, factor: float, certificate: str, pending: int) -> None:
    """Serve until killed."""
    counter = Counter(durations(jobs, factor), pending)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(counter), "127.0.0.1", 0, ssl=tls, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
