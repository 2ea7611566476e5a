"""The two clients, over real sockets: they send alike, and they know what left the machine."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_segmind.api import flow
from airflow_provider_segmind.api.aclient import proxy_for
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
from airflow_provider_segmind.api.transport import Session, prepare_session
from airflow_provider_segmind.api.wire import Failure, Request, Response
from airflow_provider_segmind.emulator import Emulator, Fault
from tests.api.drive import KEY, WORKFLOW
from tests.api.sending import CLOCK, PACE, Run, Steps, order, settings_for


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


# aiohttp before 3.12.15 leaves a refused connection to the garbage collector, which says so.


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
