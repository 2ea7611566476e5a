from __future__ import annotations

import contextlib
import json
import time

import pytest
import requests

from airflow_provider_segmind.emulator import Fault
from airflow_provider_segmind.emulator.faults import KINDS
from tests.emulator.conftest import come_back

NOT_BILLED = {
    "400": (400, "Bad Request"),
    "400-text": (400, "Incorrect or Missing host header"),
    "401": (401, "Missing Authorization"),
    "403": (403, "Forbidden"),
    "404": (404, "Workflow not found"),
    "405-html": (405, "<html>"),
    "406-credits": (406, "Insufficient credits"),
    "406-spend-limit": (406, "spend limit"),
    "406-content-type": (406, "Invalid content type"),
    "406-parameter": (406, "parameter"),
    "429": (429, "Rate limit"),
    "500": (500, "error"),
    "502-html": (502, "<html>"),
    "504-html": (504, "<html>"),
    "redirect": (307, ""),
}
BILLED = {
    "500-after": (500, "error"),
    "502-after": (502, "<html>"),
    "hang-after": (200, "request_id"),
    "slow-drip": (200, "request_id"),
    "no-poll-url": (200, "request_id"),
    "foreign-poll-url": (200, "https://poll.example.net/"),
    "html": (200, "<html>"),
    "not-json": (200, "{oops"),
    "empty": (200, ""),
    "huge": (200, "request_id"),
    "raw": (200, ""),
    "will-fail": (200, "request_id"),
}
BROKEN = {"drop-before": 0, "drop-after": 1, "truncated": 1}
POLL_KINDS = [name for name, kind in KINDS.items() if kind.only == "poll"]


def test_every_kind_is_tested_here():
    assert {*NOT_BILLED, *BILLED, *BROKEN, *POLL_KINDS} == set(KINDS)


@pytest.mark.parametrize("kind", NOT_BILLED)
def test_refusals_are_not_billed_and_the_next_submit_goes_well(client, emulator, kind):
    emulator.script(Fault(kind))
    answer = client.submit()
    status, text = NOT_BILLED[kind]
    assert answer.status_code == status
    assert text in answer.text
    assert emulator.charges == ()
    assert client.submit().status_code == 200


@pytest.mark.parametrize("kind", BILLED)
def test_answers_that_go_wrong_after_acceptance_are_billed(client, emulator, kind):
    emulator.script(Fault(kind, seconds=0.1, body=2 if kind == "huge" else None))
    answer = client.submit()
    status, text = BILLED[kind]
    assert answer.status_code == status
    assert text in answer.text
    assert len(emulator.charges) == len(emulator.jobs) == 1


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_connections_are_billed_only_once_the_request_was_accepted(client, emulator, kind):
    emulator.script(Fault(kind))
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        client.submit()
    assert len(emulator.charges) == BROKEN[kind]
    assert emulator.requests[0].status == (200 if kind == "truncated" else None)


def test_a_garbled_answer_with_an_error_status_is_not_billed(client, emulator):
    emulator.script(Fault("html", status=503), Fault("raw", status=418, body={"error": "teapot"}))
    assert client.submit().status_code == 503
    assert client.submit().json() == {"error": "teapot"}
    assert emulator.charges == ()


def test_a_fault_after_acceptance_does_not_hide_that_there_is_no_credit(client, emulator):
    emulator.set(credits=0)
    emulator.script(Fault("drop-after"))
    assert client.submit().status_code == 406


def test_an_answer_that_hangs_comes_late(client, emulator):
    emulator.script(Fault("hang-after", seconds=60))
    with pytest.raises(requests.ReadTimeout):
        client.submit(timeout=0.1)
    assert len(emulator.charges) == 1


def test_huge_answers_are_many_megabytes_and_drips_take_their_time(client, emulator):
    emulator.script(Fault("huge", body=3), Fault("slow-drip", seconds=0.05))
    assert len(client.submit().content) > 3 * 1024 * 1024
    started = time.monotonic()
    client.submit()
    assert time.monotonic() - started >= 0.04


def test_redirects_go_where_they_are_told(client, emulator):
    emulator.script(Fault("redirect", body="https://evil.example/", status=302))
    answer = client.submit()
    assert (answer.status_code, answer.headers["Location"]) == (302, "https://evil.example/")


@pytest.mark.parametrize(
    ("form", "header"),
    [
        ("retry-after", "Retry-After"),
        ("http-date", "Retry-After"),
        ("reset", "x-rate-limit-reset-at-utc"),
        ("none", None),
    ],
)
def test_a_scripted_429_chooses_its_header(client, emulator, form, header):
    emulator.script(Fault("429", on="poll", body=form, seconds=7))
    answer = client.poll(client.job())
    present = [name for name in ("Retry-After", "x-rate-limit-reset-at-utc") if name in answer.headers]
    assert present == ([header] if header else [])
    if form == "retry-after":
        assert answer.headers["Retry-After"] == "7"


@pytest.mark.parametrize("status", [200, 422])
@pytest.mark.parametrize("shape", ["error", "error-message", "error-list", "empty"])
@pytest.mark.parametrize("how", ["poll", "submit"])
def test_a_failed_job_stays_failed_and_tells_why_in_four_shapes(client, emulator, how, shape, status):
    if how == "submit":
        emulator.script(Fault("will-fail", body=shape, status=status))
    url = client.job()
    if how == "poll":
        emulator.script(Fault(f"failed-{shape}", status=status))
    answers = [client.poll(url) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [status, status]
    body = answers[1].json()
    assert body["status"] == "FAILED"
    kinds = {"error": body.get("error"), "error_message": body.get("error_message")}
    types = {name: type(value) for name, value in kinds.items() if value is not None}
    assert (
        types
        == {
            "error": {"error": str},
            "error-message": {"error_message": dict},
            "error-list": {"error_message": list},
            "empty": {},
        }[shape]
    )
    assert next(iter(emulator.jobs.values())).status == "FAILED"


def test_a_failing_job_runs_first(client, emulator):
    emulator.set(job_polls=1)
    emulator.script(Fault("will-fail"))
    url = client.job()
    assert [client.poll(url).json()["status"] for _ in range(2)] == ["QUEUED", "FAILED"]


def test_an_expired_job_is_gone_for_good(client, emulator):
    url, other = client.job(), client.job()
    emulator.script(Fault("expired", request_id=url.rpartition("/")[2]))
    assert client.poll(other).status_code == 200
    assert [client.poll(url).status_code for _ in range(2)] == [404, 404]


def test_odd_polls(client, emulator):
    url = client.job()
    emulator.script(Fault("status", body="PAUSED"), Fault("completed-bad-output"), Fault("completed-empty-output"))
    assert client.poll(url).json() == {"output": "", "status": "PAUSED"}
    with pytest.raises(ValueError):
        json.loads(client.poll(url).json()["output"])
    assert json.loads(client.poll(url).json()["output"]) == []
    assert json.loads(client.poll(url).json()["output"]) != []


@pytest.mark.parametrize(
    ("on", "path"),
    [
        ("credits", "/v1/get-user-credits"),
        ("history", "/inference-request/request-history"),
        ("file", "/assets/x.png"),
        ("poll", "/workflows/request/x"),
    ],
)
def test_every_endpoint_can_fail(client, emulator, on, path):
    emulator.script(Fault("502-html", on=on), Fault("drop-before", on=on))
    assert client.request("GET", path).status_code == 502
    with pytest.raises(requests.ConnectionError):
        client.request("GET", path)


def test_faults_come_in_order_after_the_good_requests_and_as_often_as_told(client, emulator):
    emulator.script(Fault("500", after=1, times=2), Fault("403", after=2, times=None))
    assert [client.submit().status_code for _ in range(6)] == [200, 500, 500, 200, 403, 403]
    emulator.clear_faults()
    assert client.submit().status_code == 200


def test_requests_without_the_key_neither_fire_nor_count(client, emulator):
    emulator.script(Fault("500", after=1))
    for _ in range(2):
        assert client.submit(headers={"Authorization": "Bearer no"}).status_code == 401
    assert [client.submit().status_code for _ in range(2)] == [200, 500]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "explode"}, "known are: .*drop-after"),
        ({"kind": "500", "on": "lunch"}, "known are: submit"),
        ({"kind": "expired", "on": "file"}, "only happen to a poll"),
        ({"kind": "no-poll-url", "on": "poll"}, "only happen to a submit"),
        ({"kind": "will-fail", "body": "loudly"}, "error-list"),
        ({"kind": "500", "times": 0}, "times must be 1 or more.* not 0"),
    ],
)
def test_impossible_faults_are_refused_with_what_is_possible(fields, words):
    with pytest.raises(ValueError, match=words):
        Fault(**fields)


def test_during_an_outage_connections_are_refused_and_afterwards_the_port_is_the_same(client, emulator):
    url = client.job()
    emulator.outage(600)
    with pytest.raises(requests.ConnectionError, match="refused"):
        requests.get(emulator.url, timeout=2)
    come_back(emulator)
    assert client.poll(url).json()["status"] == "COMPLETED"


def test_an_outage_ends_by_itself(client, emulator):
    url = client.job()
    emulator.outage(0.02)
    answered = False
    while not answered:  # refused in between, or not, if this is slow
        with contextlib.suppress(requests.ConnectionError):
            answered = client.poll(url).json()["status"] == "COMPLETED"
