"""The two clients, over real sockets: they send alike, and they know what left the machine."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme

from airflow_provider_segmind.api import flow
from airflow_provider_segmind.api.aclient import AsyncClient, new_session, proxy_for, tls_of
from airflow_provider_segmind.api.client import Client
from airflow_provider_segmind.api.errors import (
    AuthenticationError,
    JobExpiredError,
    JobFailedError,
    OutcomeUnknownError,
    SegmindError,
    ServiceError,
    TransportError,
)
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.api.results import result_of
from airflow_provider_segmind.api.transport import Session, exchange, prepare_session, time_left
from airflow_provider_segmind.api.wire import Failure, Request, Response
from airflow_provider_segmind.emulator import Emulator, Fault
from tests.api.clock import Clock
from tests.api.drive import KEY, WORKFLOW

Steps = Callable[[Settings, flow.Auth], flow.Flow[Any]]
Run = Callable[[Settings, Steps], Any]
PACE = flow.Pace(first=0.05, limit=0.2)
CLOCK = Clock()
"""What all clients here sleep by: it only runs ahead, so they can share it."""


def run_sync(settings: Settings, steps: Steps) -> Any:
    with requests.Session() as session:
        client = Client(settings, prepare_session(session), clock=CLOCK, sleep=CLOCK.sleep)
        return client.run(steps(settings, client.auth))


def run_async(settings: Settings, steps: Steps) -> Any:
    async def main() -> Any:
        async with new_session() as session:
            client = AsyncClient(settings, session, tls=tls_of(settings), clock=CLOCK, sleep=CLOCK.asleep)
            try:
                return await client.run(steps(settings, client.auth))
            finally:
                await session.close()
                for _ in range(9):  # a loop closes what was given up in one of its next rounds
                    await asyncio.sleep(0)

    return asyncio.run(main())


@pytest.fixture(params=[run_sync, run_async], ids=["requests", "aiohttp"])
def run(request: pytest.FixtureRequest) -> Run:
    runner: Run = request.param
    return runner


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as running:
        yield running


def settings_for(emulator: Emulator, **extra: Any) -> Settings:
    parts = emulator.airflow_connection()
    return Settings.from_connection(host=parts["host"], password=parts["password"], extra={**parts["extra"], **extra})


def order(emulator: Emulator) -> Steps:
    inputs = {"character_image": emulator.sample("scene", 0), "reference_character_image": emulator.sample("person", 0)}
    return lambda settings, auth: flow.submit(settings, auth, WORKFLOW, inputs, pace=PACE)


def ask(poll_url: str, max_outage: float | None = None) -> Steps:
    return lambda settings, auth: flow.wait(
        settings,
        auth,
        poll_url,
        deadline=CLOCK() + 20,
        clock=CLOCK,
        poll_interval=0.05,
        max_outage=max_outage,
        pace=PACE,
    )


def test_an_order_is_submitted_waited_for_and_billed_once(run: Run, emulator: Emulator) -> None:
    emulator.set(job_polls=3)
    settings = settings_for(emulator)
    job = run(settings, order(emulator))
    result = result_of(run(settings, ask(job.poll_url)), needs_image=True)
    assert len(emulator.charges) == 1
    assert requests.get(result["image_url"], timeout=10).content.startswith(b"\x89PNG")
    assert run(settings, lambda s, a: flow.get_credits(s, a)) == pytest.approx(100 - 0.2687)


def test_an_upload_can_be_ordered_with(run: Run, emulator: Emulator) -> None:
    picture = requests.get(emulator.sample("scene", 1), timeout=10).content
    url = run(settings_for(emulator), lambda s, a: flow.upload(s, a, picture, "image/png"))
    assert requests.get(url, timeout=10).content == picture


@pytest.mark.parametrize(("scheme", "posts"), [("bearer", 1), ("x-api-key", 2)])
def test_the_other_scheme_is_tried_once_after_a_401(run: Run, emulator: Emulator, scheme: str, posts: int) -> None:
    emulator.set(auth=scheme)
    run(settings_for(emulator), order(emulator))
    assert len([seen for seen in emulator.requests if seen.method == "POST"]) == posts
    assert len(emulator.charges) == 1


@pytest.mark.parametrize(
    ("kind", "charges"),
    [
        ("drop-before", 0),
        ("drop-after", 1),
        ("truncated", 1),
        ("not-json", 1),
        ("no-poll-url", 1),
        ("500", 0),
        ("500-after", 1),
        ("502-html", 0),
        ("504-html", 0),
        ("huge", 1),
    ],
)
def test_a_submit_that_may_have_been_accepted_goes_out_once(
    run: Run, emulator: Emulator, kind: str, charges: int
) -> None:
    emulator.script(Fault(kind, times=None))
    with pytest.raises(OutcomeUnknownError):
        run(settings_for(emulator), order(emulator))
    assert len([seen for seen in emulator.requests if seen.method == "POST"]) == 1
    assert len(emulator.charges) == charges


def test_an_answer_that_takes_too_long_is_an_unknown_outcome(run: Run, emulator: Emulator) -> None:
    emulator.script(Fault("hang-after", seconds=60.0))
    with pytest.raises(OutcomeUnknownError, match="never came"):
        run(settings_for(emulator, timeout=0.3), order(emulator))
    assert len(emulator.charges) == 1


def test_a_429_goes_out_again_and_is_billed_once(run: Run, emulator: Emulator) -> None:
    emulator.script(Fault("429"))
    run(settings_for(emulator), order(emulator))
    assert len(emulator.charges) == 1


@pytest.mark.parametrize("shape", ["failed-error", "failed-error-message", "failed-error-list", "failed-empty"])
@pytest.mark.parametrize("status", [200, 422])
def test_a_failed_job_is_read_in_all_its_shapes(run: Run, emulator: Emulator, shape: str, status: int) -> None:
    settings = settings_for(emulator)
    job = run(settings, order(emulator))
    emulator.script(Fault(shape, on="poll", status=status, times=None))
    with pytest.raises(JobFailedError):
        result_of(run(settings, ask(job.poll_url)))


@pytest.mark.parametrize("kind", ["500", "502-html", "not-json", "empty", "truncated", "drop-before"])
def test_polls_survive_what_passes(run: Run, emulator: Emulator, kind: str) -> None:
    settings = settings_for(emulator)
    job = run(settings, order(emulator))
    emulator.script(Fault(kind, on="poll", times=4))
    assert run(settings, ask(job.poll_url)).status == "COMPLETED"
    emulator.script(Fault(kind, on="poll", times=None))
    with pytest.raises((ServiceError, TransportError)):
        run(settings, ask(job.poll_url, max_outage=0.1))


def test_an_expired_record_is_paid_for_and_lost(run: Run, emulator: Emulator) -> None:
    settings = settings_for(emulator)
    job = run(settings, order(emulator))
    emulator.script(Fault("expired", on="poll"))
    with pytest.raises(JobExpiredError):
        run(settings, lambda settings, auth: flow.get_job(settings, auth, job.poll_url))


def test_a_redirect_is_not_followed_with_the_key(run: Run, emulator: Emulator) -> None:
    with Emulator() as elsewhere:
        emulator.script(Fault("redirect", body=f"{elsewhere.url}/workflows/{WORKFLOW}"))
        with pytest.raises(SegmindError, match="redirect"):
            run(settings_for(emulator), order(emulator))
        assert elsewhere.requests == ()


def test_whoever_follows_redirects_leaves_the_key_behind(emulator: Emulator) -> None:
    with Emulator() as elsewhere, prepare_session(Session()) as session:
        emulator.script(Fault("redirect", body=f"{elsewhere.url}/elsewhere"))
        session.post(
            emulator.url + f"/workflows/{WORKFLOW}", headers={"x-api-key": KEY, "Authorization": KEY}, timeout=9
        )
        (seen,) = elsewhere.requests
        assert KEY not in str(seen)


def test_a_netrc_file_does_not_replace_the_key(
    run: Run, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    run(settings_for(emulator), lambda s, a: flow.get_credits(s, a))
    assert [seen.headers["authorization"] for seen in emulator.requests] == [f"Bearer {KEY}"]


@pytest.mark.parametrize("configured", ["environment", "connection"])
def test_over_plain_http_no_proxy_sees_the_key(
    run: Run, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, configured: str
) -> None:
    with Emulator() as proxy:
        proxies = {"http": proxy.url, "all": proxy.url}
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        if configured == "environment":
            for name in ("http_proxy", "all_proxy"):
                monkeypatch.setenv(name, proxy.url)
        extra = {"proxies": proxies} if configured == "connection" else {}
        settings = Settings.from_connection(host=emulator.url, password=KEY, extra=extra)
        assert run(settings, lambda s, a: flow.get_credits(s, a)) == 100.0
        with prepare_session(Session()) as session:
            session.proxies.update(settings.proxies)
            session.get(f"{emulator.url}/v1/get-user-credits", headers={"x-api-key": KEY}, timeout=5)
            request = requests.Request("GET", f"{emulator.url}/v1/get-user-credits", headers={"x-api-key": KEY})
            assert session.send(session.prepare_request(request), timeout=5).status_code == 200
        assert proxy.requests == ()
        assert len(emulator.requests) == 3


def test_nothing_of_a_refused_connection_was_sent(run: Run) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    settings = Settings.from_connection(host=url, password=KEY)

    def steps(s: Settings, a: flow.Auth) -> flow.Flow[Any]:
        answer = yield flow.Send(Request("POST", f"{url}/workflows/{WORKFLOW}", "bearer", {}))
        return answer

    answer = run(settings, steps)
    assert isinstance(answer, Failure)
    assert not answer.sent


def test_an_api_that_is_down_for_a_moment_costs_nothing(run: Run, emulator: Emulator) -> None:
    emulator.outage(3600)

    def steps(settings: Settings, auth: flow.Auth) -> flow.Flow[Any]:
        steps, answer, pauses = order(emulator)(settings, auth), None, 0
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return end.value
            pauses += isinstance(step, flow.Pause)
            if pauses == 2:
                emulator._call(emulator._listener.come_back)
            answer = yield step

    run(settings_for(emulator), steps)
    assert len(emulator.charges) == 1


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Serve raw bytes on a socket, one connection after the other."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                answer(connection)

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


DRIPS = 1000
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "body": (OK + b"Content-Length: 100000\r\n\r\n", b" "),
    "status line": (b"HTTP/1.1 200 O", b"K"),
    "header": (OK + b"X: ", b"a"),
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "extension of a chunk": (CHUNKED + b"1;", b"a"),
    "trailer": (CHUNKED + b"1\r\n{\r\n0\r\nX: ", b"a"),
}


class Dripping:
    """A peer that sends some bytes at once and then one piece after the other, so slowly that it never ends."""

    def __init__(self, start: bytes, piece: bytes, *, asks: bool = True, tls: ssl.SSLContext | None = None) -> None:
        self.start, self.piece, self.asks, self.tls = start, piece, asks, tls
        self.sent = 0

    def __call__(self, connection: socket.socket) -> None:
        try:
            if self.tls is not None:
                with self.tls.wrap_socket(connection, server_side=True) as safe:
                    self.drip(safe)
            else:
                self.drip(connection)
        except OSError:
            pass

    def drip(self, connection: socket.socket) -> None:
        if self.asks:
            connection.recv(65536)
        connection.sendall(self.start)
        for _ in range(DRIPS):
            connection.sendall(self.piece)
            self.sent += 1
            time.sleep(0.01)  # a slow peer is what is tested


@pytest.mark.parametrize(("start", "piece"), ENDLESS.values(), ids=ENDLESS)
def test_an_answer_that_drips_for_ever_is_given_up(run: Run, start: bytes, piece: bytes) -> None:
    """A timeout for each read is never met by who sends a byte now and then, in whatever part of an answer."""
    peer = Dripping(start, piece)
    with serving(peer) as url:
        settings = Settings.from_connection(host=url, password=KEY, extra={"timeout": 0.15})
        with pytest.raises(OutcomeUnknownError):
            run(settings, lambda s, a: flow.submit(s, a, "abc-v1", {}))
    assert 0 < peer.sent < DRIPS, "it was read to its end"


@pytest.mark.parametrize(("start", "piece"), ENDLESS.values(), ids=ENDLESS)
def test_an_answer_that_drips_for_ever_over_tls_is_given_up(tmp_path: Path, start: bytes, piece: bytes) -> None:
    peer = Dripping(start, piece, tls=own_tls(tmp_path))
    with serving(peer) as url:
        extra = {"timeout": 0.15, "verify": str(tmp_path / "ca.pem")}
        settings = Settings.from_connection(host=url.replace("http:", "https:"), password=KEY, extra=extra)
        with pytest.raises(OutcomeUnknownError):
            run_sync(settings, lambda s, a: flow.submit(s, a, "abc-v1", {}))
    assert 0 < peer.sent < DRIPS, "it was read to its end"


def own_tls(folder: Path) -> ssl.SSLContext:
    """Return a server's certificate of an authority that is written to ``ca.pem``."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


TUNNEL = b"HTTP/1.1 200 OK\r\n"
HANDSHAKE = b"\x16\x03\x03\x40\x00"
"""The beginning of a record of TLS of 16 KiB."""


@pytest.mark.parametrize("safe", [False, True], ids=["http proxy", "https proxy"])
@pytest.mark.parametrize(
    ("start", "piece"), [(TUNNEL + b"X: ", b"a"), (TUNNEL + b"\r\n" + HANDSHAKE, b"\x02")], ids=["answer", "handshake"]
)
def test_a_proxy_that_drips_for_ever_is_given_up_and_nothing_was_sent(
    tmp_path: Path, start: bytes, piece: bytes, safe: bool
) -> None:
    peer = Dripping(start, piece, tls=own_tls(tmp_path) if safe else None)
    with serving(peer) as url:
        proxies = {"https": url.replace("http:", "https:") if safe else url}
        extra = {"timeout": 0.1, "proxies": proxies, "verify": str(tmp_path / "ca.pem") if safe else True}
        settings = Settings.from_connection(host=None, password=KEY, extra=extra)
        with pytest.raises(TransportError, match="nothing was sent"):
            run_sync(settings, lambda s, a: flow.submit(s, a, "abc-v1", {}, pace=PACE))
    assert peer.sent < DRIPS


def test_a_peer_that_reads_slowly_for_ever_is_given_up(tmp_path: Path) -> None:
    read, over, tls = 0, threading.Event(), own_tls(tmp_path)

    def sip(connection: socket.socket) -> None:
        nonlocal read
        with tls.wrap_socket(connection, server_side=True) as safe:
            while not over.wait(0.02):
                read += len(safe.recv(4096))

    with serving(sip) as url:
        extra = {"timeout": 0.3, "verify": str(tmp_path / "ca.pem")}
        settings = Settings.from_connection(host=url.replace("http:", "https:"), password=KEY, extra=extra)
        with pytest.raises(OutcomeUnknownError):
            run_sync(settings, lambda s, a: flow.submit(s, a, "abc-v1", {"seed": "x" * 2**24}))
        over.set()
    assert read < 2**20


def test_an_answer_that_unpacks_to_gigabytes_is_taken_as_it_came(run: Run) -> None:
    """Compression was not asked for; a library that unpacks it anyway fills the memory of the triggerer."""
    body = gzip.compress(bytes(200_000_000), mtime=0)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(head + body)

    def steps(s: Settings, a: flow.Auth) -> flow.Flow[Any]:
        return (yield flow.Send(Request("GET", f"{s.base_url}/workflows/request/1", "bearer")))

    with serving(answer) as url:
        received = run(Settings(url, KEY), steps)
    assert received.body == body


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\n\xff\xff",
        b"HTTP/1.1 200 OK\r\nRetry-After: \xff\xfe\xd8\r\nDate: \xff\r\nContent-Type: \x80\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nSet-Cookie: \xff=\xff;;;=\r\nLocation: //\xff\r\n\r\n{}",
        b"HTTP/1.1 99999 \xff\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n{}",
        b"\xff\x00 no HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n{}",
        b"",
    ],
    ids=range(11),
)
def test_an_answer_that_is_no_http_is_an_error_of_ours_and_an_order_may_have_been_accepted(
    run: Run, head: bytes
) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(head)

    with serving(answer) as url, pytest.raises(SegmindError) as error:
        run(Settings(url, KEY), lambda s, a: flow.order(s, a, WORKFLOW, {}))
    assert isinstance(error.value, OutcomeUnknownError)
    with serving(answer) as url, pytest.raises((ServiceError, TransportError)):
        run(Settings(url, KEY), lambda s, a: flow.ask(s, a, f"{url}/workflows/request/1"))


# aiohttp before 3.12.15 leaves a refused connection to the garbage collector, which says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_tls_is_checked_with_the_systems_bundle_or_the_connections_own(run: Run, tmp_path: Path) -> None:
    authority = trustme.CA()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    balance: Steps = lambda s, a: flow.get_credits(s, a, pace=PACE)  # noqa: E731
    with Emulator(ssl_context=context) as emulator:
        assert run(settings_for(emulator, verify=str(bundle)), balance) == 100
        with pytest.raises(TransportError, match="nothing was sent"):
            run(settings_for(emulator), balance)


def test_a_failed_handshake_means_that_an_order_was_not_sent(run: Run) -> None:
    """A certificate that is refused is found before the first byte of the order."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Emulator(ssl_context=context) as emulator:
        with pytest.raises(TransportError, match="nothing was sent"):
            run(settings_for(emulator), order(emulator))
        assert emulator.charges == ()


def test_a_proxy_of_the_connection_is_used_and_one_that_refuses_the_tunnel_means_that_an_order_was_not_sent(
    run: Run,
) -> None:
    seen: list[bytes] = []

    def refuse(connection: socket.socket) -> None:
        seen.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    with serving(refuse) as url:
        settings = Settings.from_connection(host=None, password=KEY, extra={"proxies": {"https": url}})

        def steps(s: Settings, a: flow.Auth) -> flow.Flow[Any]:
            answer = yield flow.Send(Request("POST", "https://api.segmind.com/workflows/abc-v1", "bearer", {}))
            return answer

        answer = run(settings, steps)
    assert isinstance(answer, Failure)
    assert not answer.sent
    assert seen[0].startswith(b"CONNECT api.segmind.com:443 ")
    assert KEY.encode() not in seen[0]


def test_environment_proxies_count_as_for_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings.from_connection(host=None, password=KEY)
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "intern.example")
    assert proxy_for(settings, "https://api.segmind.com/x") == "http://proxy.example:3128"
    assert proxy_for(settings, "https://intern.example/x") is None
    own = Settings.from_connection(host=None, password=KEY, extra={"proxies": {"all": "http://own:1"}})
    assert proxy_for(own, "https://api.segmind.com/x") == "http://own:1"


def test_both_clients_give_the_headers_in_lower_case_and_the_time(run: Run, emulator: Emulator) -> None:
    def steps(s: Settings, a: flow.Auth) -> flow.Flow[Any]:
        answer = yield flow.Send(Request("GET", f"{emulator.url}/v1/get-user-credits", "x-api-key"))
        return answer

    began = CLOCK()
    answer = run(settings_for(emulator), steps)
    assert isinstance(answer, Response)
    assert answer.headers["content-type"].startswith("application/json")
    assert began <= answer.at <= CLOCK()


def test_a_prepared_session_also_works_by_itself(emulator: Emulator) -> None:
    with requests.Session() as session:
        answer = prepare_session(session).get(f"{emulator.url}/v1/get-user-credits", timeout=10)
    assert answer.status_code == 401


def test_a_wrong_key_is_an_error_of_whoever_manages_the_connection(run: Run, emulator: Emulator) -> None:
    settings = Settings.from_connection(host=emulator.url, password="SG_wrong")
    with pytest.raises(AuthenticationError) as error:
        run(settings, order(emulator))
    assert "SG_wrong" not in str(error.value)
    assert emulator.charges == ()


def test_when_the_time_of_a_whole_exchange_is_over_no_step_of_it_begins() -> None:
    assert time_left(3.0) == 3.0
    with exchange(60.0):
        assert time_left(3.0) == 3.0
        assert 3.0 < (time_left(None) or 0.0) <= 60.0
    with exchange(0.0), pytest.raises(TimeoutError, match="too long as a whole"):
        time_left(3.0)
