"""What a third attack found in the core: each test failed before it was mended."""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from typing import Any

import pytest

from airflow_provider_segmind.api import answers, flow, protocol
from airflow_provider_segmind.api.aclient import AsyncClient
from airflow_provider_segmind.api.clocks import clock_offset
from airflow_provider_segmind.api.errors import JobExpiredError, SegmindError, TransportError
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.api.orders import Record, State, Step, decide
from airflow_provider_segmind.api.patience import Watch
from airflow_provider_segmind.api.poller import Poller
from airflow_provider_segmind.api.wire import Request, Response
from tests.api import virtual
from tests.api.drive import answer, settings

KEY = "SG_of-nobody-at-all"
REQUEST = "0123456789abcdef0123456789abcdef"
URL = f"https://api.segmind.com/workflows/request/{REQUEST}"
FOREIGN = answer({"status": "FAILED", "request_id": "another", "error": "x"})
GONE = answer({"error": "Request not found"}, 404)


@pytest.mark.parametrize(
    "former",
    [
        Settings.from_connection(host="https://gateway.example", password="old-key-1234"),
        Settings.from_connection(
            host="http://emulator.example:8080",
            password="SG_0123456789abcdef",
            extra={"emulator_host": "emulator.example"},
        ),
    ],
    ids=["another host", "an emulator over plain http"],
)
def test_the_key_of_a_changed_connection_is_not_sent_to_its_former_host(former: Settings) -> None:
    poll_url = f"{former.base_url}/workflows/request/abc"
    steps = flow.ask(Settings.from_connection(host=None, password=KEY), flow.Auth(), poll_url)
    with pytest.raises(TransportError, match="the key was not sent"):
        next(steps)
    assert next(flow.ask(former, flow.Auth(), poll_url)).request.url == poll_url  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "body",
    [
        {"message": f"Cannot GET /workflows/request/{REQUEST}"},
        {"message": f"The route workflows/request/{REQUEST} could not be found."},
        {"error": f"The requested URL /workflows/request/{REQUEST} was not found on this server."},
        {"message": "no Route matched: request path not found"},
    ],
)
def test_a_gateway_that_quotes_the_path_does_not_make_a_job_be_gone(body: dict[str, str]) -> None:
    with pytest.raises(SegmindError) as raised:
        protocol.read_poll(settings(), Response(404, {}, json.dumps(body).encode(), 1.0), URL)
    assert not isinstance(raised.value, JobExpiredError)


@pytest.mark.parametrize("words", ["Request not found", f"Request {REQUEST} not found", f"no such job: {REQUEST}"])
def test_a_404_about_the_request_is_the_jobs(words: str) -> None:
    with pytest.raises(JobExpiredError):
        protocol.read_poll(settings(), Response(404, {}, json.dumps({"error": words}).encode(), 1.0), URL)


def test_words_that_repeat_themselves_are_searched_once() -> None:
    """Three megabytes of it held the loop for hours."""
    body = json.dumps({"message": "request " * 400_000}).encode()
    with pytest.raises(SegmindError):
        protocol.read_poll(settings(), Response(404, {}, body, 1.0), URL)


@pytest.mark.parametrize("cut", range(1, len(KEY) + 1))
def test_a_key_that_a_cut_goes_through_is_hidden(cut: int) -> None:
    body = (b"x" * (4096 - cut)) + KEY.encode() + b"</html>"
    assert KEY[:8] not in answers.beginning(body, 4096, KEY)
    assert KEY[:8] not in answers.words_of(Response(502, {}, b"<br>" * 1000 + body[4000:], 1.0), KEY)


@pytest.mark.parametrize("fault", [FOREIGN, GONE], ids=["foreign FAILED", "404"])
def test_an_old_date_does_not_shorten_doubt(fault: Any) -> None:
    """An HTTP cache keeps the Date of what it stored."""
    clock = virtual.Clock()
    service = virtual.Service(clock, lambda at: fault if at < 80 else None, lambda _: 85.0)
    seen: list[Response] = []

    class Cached(AsyncClient):
        async def send(self, request: Request) -> Response:
            got = service.poll(request, clock())
            if not seen:
                got = Response(got.status, {"date": formatdate(clock() - 3600, usegmt=True)}, got.body, got.at)
            seen.append(got)
            self.clock_offset = clock_offset(got, self.clock_offset)
            return got

    client = Cached(settings(), None, clock=clock)  # type: ignore[arg-type]

    async def clients(*, refused: Any = None) -> AsyncClient:
        return client

    async def wait() -> str:
        poller = Poller(clients, clock=clock)
        try:
            return (await poller.wait(URL, deadline=clock() + 3600, clock_offset=0.0)).status
        finally:
            await poller.close()

    assert virtual.run_virtually(clock, wait()) == "COMPLETED"


@pytest.mark.parametrize("said", [(GONE,), (FOREIGN,), (GONE, FOREIGN)], ids=["404", "doubtful", "both in turn"])
@pytest.mark.parametrize("interval", [60.0, 3600.0])
def test_a_poke_holds_its_worker_for_minutes_at_most(said: tuple[Any, ...], interval: float) -> None:
    now, asked = 0.0, 0
    steps = flow.poke(settings(), flow.Auth(), Watch(URL, 86_400.0, interval=interval), lambda: now)
    got: Any = None
    try:
        while now < 86_400:
            step = steps.send(got)
            if isinstance(step, flow.Send):
                got, asked = said[asked % len(said)], asked + 1
            else:
                now, got = now + step.seconds, None
    except (StopIteration, SegmindError):
        pass
    assert now < 300


def test_an_order_whose_id_the_answer_had_is_looked_up_before_it_is_submitted_again() -> None:
    record = Record(State.INTENT, "f", 1, time.time(), "w-v1", request_id="known")
    assert decide(record, max_tries=1, fingerprint="f", resubmit_unknown=True) is Step.RECOVER
