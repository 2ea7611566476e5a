"""A service that answers anything, by chance: there is a report, no second order, and no secret in what is shared."""

from __future__ import annotations

import itertools
import json
import random
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.doctor.run import examine
from tests.api.clock import Clock

SECRET = "s3cr3tTOKEN99"
ID = "4f7471d8ac431cffe0468dc487b5d354"
REFUSED = (301, 307, 400, 401, 403, 404, 406, 422, 429)
STATUSES = [200] * 8 + [201, 202, 204, 500, 502, 503, *REFUSED]
WORDS = ("", SECRET, "COMPLETED", "FAILED", "QUEUED", "x" * 500, "[1,2", '{"a":1}', "\u202e\x00", "http://[::1",
         "http://a:99999/x", f"request {SECRET}", f"https://{SECRET}.example.com/{SECRET}?k={SECRET}",
         f"data:image/png;base64,{SECRET}", "2026-11-30T06:00:00Z")  # fmt: skip
NAMES = ("status", "output", "error", "error_message", "request_id", "poll_url", "file_urls", "urls", "credits", "data",
         "free-credits", "keyname", "value", "type", "request_body", "model_created", "model_status", "latency_ms",
         "credits_deduction", SECRET, "<json>", "<page>", "<text>")  # fmt: skip
HEADERS = ("x-ratelimit-limit", "x-ratelimit-remaining", "retry-after", "date", "location", "set-cookie")


class Chance(random.Random):
    """Makes answers."""

    def value(self, depth: int = 0) -> Any:
        kind = self.randrange(6 if depth > 3 else 12)
        if kind < 2:
            return self.choice([None, 0, -1, 1e308, 2**70, True, 12.5])
        if kind < 6:
            return self.choice(WORDS)
        if kind < 8:
            return [self.value(depth + 1) for _ in range(self.randrange(4))]
        return {self.choice(NAMES): self.value(depth + 1) for _ in range(self.randrange(7))}

    def good(self, base: str, path: str) -> tuple[int, Any]:
        """Return an answer with which the doctor gets further."""
        if "credits" in path:
            return 200, {"credits": 12.5, "free-credits": 0.0, "token": SECRET}
        if path == "/upload-asset":
            return 200, {"file_urls": [f"{base}/assets/{SECRET}.png?sig={SECRET}"]}
        if "history" in path:
            row = {"request_id": self.choice([ID, "x"]), "request_body": {"a": SECRET}, "token": self.value()}
            return 200, {"data": [{**row, "model_created": "2026-11-30T06:00:00+00:00", "model_status": "PENDING"}]}
        if "/request/" in path:
            output = [{"keyname": "a", "value": {"data": f"{base}/o/{SECRET}", "type": "image"}}]
            status = self.choice(["QUEUED", "PROCESSING", "COMPLETED", "FAILED"])
            return 200, {"status": status, "output": json.dumps(output), "error": f"bad {SECRET}"}
        if path.startswith("/workflows/missing"):
            return 404, {"error": "Workflow not found"}
        return 200, {"status": "QUEUED", "request_id": ID, "poll_url": f"{base}/workflows/request/{ID}"}

    def body(self, value: Any) -> bytes:
        kind = self.randrange(20)
        if kind == 0:
            return f"<html>{SECRET}</html>".encode()
        if kind == 1:
            return self.randbytes(50)
        return b"" if kind == 2 else json.dumps(value).encode()


@pytest.fixture
def service() -> Iterator[Callable[[int], tuple[str, list[object]]]]:
    """Return what seeds the service, and gives its URL and what it answered to orders."""
    orders: list[object] = []
    chance = Chance()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            status, value = chance.choice(STATUSES), chance.value()
            if chance.random() < 0.6:
                status, value = chance.good(base, self.path)
            dropped = chance.random() < 0.05
            if self.command == "POST" and self.path.startswith("/workflows/"):
                # A 500 to an unknown workflow is taken for a refusal: only HTTP 200 is billed.
                refused = status == 500 and "/missing" in self.path
                orders.append("dropped" if dropped else 404 if refused else status)
            if dropped:
                self.close_connection = True
                self.connection.close()
                return
            data = b"" if status == 204 else chance.body(value)
            self.send_response_only(status)
            self.send_header("content-type", chance.choice(["application/json", "text/html", "text/plain", SECRET]))
            for name in HEADERS:
                values = ["5", "60, 60;w=60", SECRET, "Mon, 30 Nov 2026 06:00:00 GMT", f"https://{SECRET}.example/"]
                if chance.random() < 0.3:
                    self.send_header(name, chance.choice(values))
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET  # noqa: N815

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    base = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def seeded(seed: int) -> tuple[str, list[object]]:
        chance.seed(seed)
        orders.clear()
        return base, orders

    yield seeded
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    "seeds", [range(6), pytest.param(range(100, 200), marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_whatever_is_answered_there_is_a_report_no_second_order_and_no_secret(seeds, service, tmp_path: Path) -> None:
    for seed in seeds:
        url, orders = service(seed)
        out = tmp_path / str(seed)
        settings = Settings.from_connection(host=url, password="SG_a-key-of-nobody-9876", extra={"timeout": 5})
        for _ in range(2):
            clock, pauses = Clock(), itertools.count()

            def sleep(seconds: float, clock: Clock = clock, pauses: Iterator[int] = pauses) -> None:
                clock.sleep(seconds + 20)
                if next(pauses) > 200:
                    raise KeyboardInterrupt

            report = examine(settings, out, agree=lambda _: True, clock=clock, sleep=sleep, here=list, minutes=5)
            assert [one.why for one in report.findings if "too odd" in one.why] == []
            shared = ((out / "cassette.json").read_text() + (out / "report.md").read_text()).lower()
            assert SECRET.lower() not in shared
            assert "fedcba" not in shared
        assert len([one for one in orders if one not in REFUSED]) <= 1, orders
