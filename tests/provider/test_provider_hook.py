"""The hook: the connection's handling, and every trap of HttpHook closed."""

from __future__ import annotations

import logging
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme

from airflow_provider_segmind.api.errors import (
    AuthenticationError,
    CreditsError,
    InvalidRequestError,
    JobTimeoutError,
    SegmindError,
    ServiceError,
)
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.files.download import download
from airflow_provider_segmind.hooks.segmind import SegmindHook
from tests.api.drive import WORKFLOW
from tests.provider.conftest import connect


def inputs(emulator: Emulator) -> dict[str, str]:
    return {"character_image": emulator.sample("scene", 0), "reference_character_image": emulator.sample("person", 0)}


def test_a_swap_from_submit_to_result(emulator: Emulator) -> None:
    emulator.set(job_polls=2)
    hook = SegmindHook()
    job = hook.submit(WORKFLOW, inputs(emulator))
    assert hook.get_job(job.poll_url).status in ("QUEUED", "PROCESSING")
    assert hook.wait(job.poll_url, poll_interval=0.05).status == "COMPLETED"
    assert hook.get_credits() == pytest.approx(100 - 0.2687)
    assert len(emulator.charges) == 1


def test_get_job_is_one_get(emulator: Emulator) -> None:
    job = SegmindHook().submit(WORKFLOW, inputs(emulator))
    emulator.script(Fault("500", on="poll"))
    with pytest.raises(ServiceError):
        SegmindHook().get_job(job.poll_url)
    assert [seen.method for seen in emulator.requests] == ["POST", "GET"]


def test_a_wait_ends_at_its_timeout(emulator: Emulator) -> None:
    emulator.set(job_seconds=60)
    job = SegmindHook().submit(WORKFLOW, inputs(emulator))
    with pytest.raises(JobTimeoutError, match="may still finish"):
        SegmindHook().wait(job.poll_url, poll_interval=0.05, timeout=0.3)


@pytest.mark.parametrize("options", [{"timeout": -1}, {"timeout": 0}, {"poll_interval": -7}])
def test_negative_times_are_refused_before_any_request(emulator: Emulator, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match="give seconds above 0"):
        SegmindHook().wait(f"{emulator.url}/workflows/request/1", **options)
    assert emulator.requests == ()


def test_the_connection_test_is_free_and_says_the_balance(emulator: Emulator) -> None:
    assert SegmindHook().test_connection() == (True, f"The key works at {emulator.url}. Balance: $100.00.")
    assert [(seen.method, seen.path) for seen in emulator.requests] == [("GET", "/v1/get-user-credits")]
    assert emulator.charges == ()


def test_the_connection_test_says_what_is_wrong_and_never_raises(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, emulator, password="SG_wrong_key")
    works, words = SegmindHook().test_connection()
    assert not works
    assert "Check the key in the connection" in words
    assert "SG_wrong_key" not in words
    assert SegmindHook("nowhere").test_connection() == (
        False,
        "There is no connection 'nowhere'. Create it with connection type 'segmind' and the API key as its "
        "password, or ask your Airflow administrator to create it.",
    )


def test_no_credits_is_said_before_anything_is_billed(emulator: Emulator) -> None:
    emulator.set(credits=0.1)
    with pytest.raises(CreditsError, match="add credits or raise the spend limit"):
        SegmindHook().submit(WORKFLOW, inputs(emulator))
    assert emulator.charges == ()


def test_a_connection_without_a_key_fails_before_any_request(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, emulator, password="")
    with pytest.raises(AuthenticationError, match="has no API key"):
        SegmindHook().submit(WORKFLOW, inputs(emulator))
    assert emulator.requests == ()


@pytest.mark.parametrize("kind", ["aws", "http", "postgres"])
def test_the_password_of_a_connection_of_another_type_is_sent_to_nobody(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Who may name a connection, as by a param of a DAG, names any connection."""
    connect(monkeypatch, emulator, conn_type=kind)
    with pytest.raises(InvalidRequestError, match=f"'segmind_default' has the type '{kind}'"):
        SegmindHook().get_credits()
    assert emulator.requests == ()


def test_extras_do_not_become_headers_and_unknown_ones_are_named_without_their_value(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connect(monkeypatch, emulator, extra={"auth_scheme": "bearer", "X-Team": "hunter2", "request_per_minute": 5})
    with caplog.at_level(logging.WARNING):
        SegmindHook().get_credits()
        SegmindHook().run("/v1/get-user-credits")
    for seen in emulator.requests:
        assert not {"x-team", "auth_scheme", "request_per_minute"} & set(seen.headers)
    assert "X-Team, request_per_minute" in caplog.text
    assert "hunter2" not in caplog.text


class TestHttpHooksOwnRun:
    """What a user of plain ``HttpHook`` expects, without its traps."""

    def test_a_path_goes_below_the_base_url_with_the_key(self, emulator: Emulator) -> None:
        assert SegmindHook().run("v1/get-user-credits").json()["credits"] == 100
        assert emulator.requests[0].headers["authorization"] == f"Bearer {emulator.api_key}"

    def test_an_absolute_url_is_used_as_it_is(self, emulator: Emulator) -> None:
        assert SegmindHook().run(f"{emulator.url}/v1/get-user-credits").status_code == 200

    def test_another_host_gets_no_key(self, emulator: Emulator) -> None:
        with Emulator() as elsewhere:
            with pytest.raises(AuthenticationError):
                SegmindHook().run(f"{elsewhere.url}/v1/get-user-credits")
            assert not {"authorization", "x-api-key"} & set(elsewhere.requests[0].headers)

    def test_a_redirect_is_not_followed(self, emulator: Emulator) -> None:
        with Emulator() as elsewhere:
            emulator.script(Fault("redirect", on="credits", body=f"{elsewhere.url}/v1/get-user-credits"))
            with pytest.raises(InvalidRequestError, match="redirect"):
                SegmindHook().run("/v1/get-user-credits")
            assert elsewhere.requests == ()

    def test_an_answer_that_drips_for_ever_is_given_up(
        self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        connect(monkeypatch, emulator, extra={"timeout": 0.3})
        emulator.script(Fault("slow-drip", on="credits", seconds=20))
        with pytest.raises((requests.RequestException, TimeoutError)):
            SegmindHook().run("/v1/get-user-credits")

    @pytest.mark.parametrize("scheme", ["bearer", "x-api-key"])
    def test_a_redirect_that_a_raw_session_follows_gets_no_key(
        self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, scheme: str
    ) -> None:
        connect(monkeypatch, emulator, extra={"auth_scheme": scheme})
        path = "/v1/get-user-credits"
        with Emulator() as elsewhere, SegmindHook().get_conn({"X-Api-Key": emulator.api_key}) as session:
            emulator.script(Fault("redirect", on="credits", body=f"{elsewhere.url}{path}"))
            assert session.get(f"{emulator.url}{path}", timeout=5).status_code == 401
            (seen,) = elsewhere.requests
            assert not {"authorization", "x-api-key"} & set(seen.headers)
            # Nor one that leads back home: who redirects may have chosen the path.
            emulator.script(Fault("redirect", on="credits", body=f"{emulator.url}{path}"))
            assert session.get(f"{emulator.url}{path}", timeout=5).status_code == 401

    def test_the_connections_verify_holds_whatever_bundle_the_environment_names(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        own, other = tmp_path / "own.pem", tmp_path / "other.pem"
        authority.cert_pem.write_to_path(own)
        trustme.CA().cert_pem.write_to_path(other)
        with Emulator(ssl_context=context) as running:
            connect(monkeypatch, running, extra={"verify": str(own)})
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
            with SegmindHook().get_conn() as session:
                assert session.get(f"{running.url}/v1/get-user-credits", timeout=5).status_code == 200
            connect(monkeypatch, running, extra={"verify": str(other)})
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(own))
            with SegmindHook().get_conn() as session, pytest.raises(requests.exceptions.SSLError):
                session.get(f"{running.url}/v1/get-user-credits", timeout=5)
            with SegmindHook().get_conn() as session:  # who sends one request says for that one
                assert session.get(f"{running.url}/v1/get-user-credits", timeout=5, verify=str(own)).status_code == 200

    def test_an_error_carries_the_services_words(self, emulator: Emulator) -> None:
        emulator.script(Fault("403", on="credits"))
        with pytest.raises(AuthenticationError, match="Segmind said: ") as error:
            SegmindHook().run("/v1/get-user-credits")
        assert error.value.status == 403

    def test_a_request_ends_in_time(self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        connect(monkeypatch, emulator, extra={"timeout": 0.2})
        emulator.set(latency=2.0)
        with pytest.raises(OSError, match="timed out"):
            SegmindHook().run("/v1/get-user-credits")


def test_an_emulator_of_another_machine_is_used_by_its_name_and_that_is_said_aloud(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The name is this machine's own, which is no loopback address in a container."""
    name = socket.gethostname()
    try:
        socket.gethostbyname(name)
    except OSError:
        pytest.skip("this machine's name is not known to itself")
    with Emulator("0.0.0.0", names=[name]) as running, Emulator() as proxy:
        connect(monkeypatch, running)
        monkeypatch.setenv("http_proxy", proxy.url)
        assert SegmindHook().settings.base_url == f"http://{name}:{running.port}"
        with caplog.at_level(logging.WARNING):
            hook = SegmindHook()
            sent = {"select_character": "woman"}
            for image, kind in (("character_image", "scene"), ("reference_character_image", "person")):
                photograph = download(hook, f"{hook.settings.base_url}/samples/{kind}/0.png").data
                sent[image] = hook.upload(photograph, media_type="image/png")
            job = hook.wait(hook.submit(WORKFLOW, sent).poll_url)
            assert download(hook, job.outputs[0].url).media_type == "image/png"
        assert f"sends pictures unencrypted to {name}:{running.port}" in caplog.text
        assert len(running.charges) == 1
        assert proxy.requests == ()
        connect(monkeypatch, running, extra={"emulator_host": ""})
        with pytest.raises(InvalidRequestError, match="emulator_host"):
            SegmindHook().get_credits()


def test_an_upload_gives_a_url(emulator: Emulator) -> None:
    assert SegmindHook().upload(b"\x89PNG\r\n\x1a\n", media_type="image/png").startswith(emulator.url)


def test_a_missing_connection_is_an_error_of_its_own() -> None:
    with pytest.raises(AuthenticationError, match="no connection 'nowhere'"):
        SegmindHook("nowhere").get_credits()


def test_every_error_is_a_segmind_error(emulator: Emulator) -> None:
    emulator.script(Fault("400-text"))
    with pytest.raises(SegmindError, match="Incorrect or Missing host header"):
        SegmindHook().submit(WORKFLOW, inputs(emulator))
