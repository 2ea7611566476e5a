from __future__ import annotations

import contextlib

import pytest
import requests

from tests.emulator.conftest import come_back


def test_what_happened_can_be_read_over_http(client):
    request_id = client.submit().json()["request_id"]
    (charge,) = client.request("GET", "/_emulator/charges").json()
    (job,) = client.request("GET", "/_emulator/jobs").json()
    (record,) = client.request("GET", "/_emulator/requests").json()
    state = client.request("GET", "/_emulator/state").json()
    assert charge["request_id"] == job["request_id"] == request_id
    assert (record["method"], record["status"]) == ("POST", 200)
    assert (state["charges"], state["jobs"], state["spent"]) == (1, 1, 0.2687)
    assert "api_key" not in state["settings"]


def test_faults_can_be_scripted_and_cleared_over_http(client):
    faults = [{"kind": "500"}, {"kind": "502-html", "on": "poll"}, {"kind": "403"}]
    state = client.request("POST", "/_emulator/faults", json=faults).json()
    assert [fault["kind"] for fault in state["faults"]] == ["500", "502-html", "403"]
    assert client.submit().status_code == 500
    client.request("POST", "/_emulator/clear-faults", json={})
    assert client.submit().status_code == 200


def test_settings_can_be_changed_over_http(client, emulator):
    client.request("POST", "/_emulator/set", json={"credits": 0, "job_seconds": [1, 2]})
    assert client.submit().status_code == 406
    assert emulator.settings.job_seconds == (1.0, 2.0)


def test_an_outage_can_be_ordered_over_http(client, emulator):
    with contextlib.suppress(requests.ConnectionError):
        client.request("POST", "/_emulator/outage", json={"seconds": 600})
    with pytest.raises(requests.ConnectionError):
        client.submit()
    come_back(emulator)
    assert client.submit().status_code == 200


def test_a_reset_forgets_everything(client, emulator):
    client.submit()
    emulator.set(credits=1, auth="bearer")
    client.request("POST", "/_emulator/reset", json={})
    assert (emulator.charges, dict(emulator.jobs), emulator.requests) == ((), {}, ())
    assert (emulator.settings.credits, emulator.settings.auth) == (100.0, "both")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("faults", [{"kind": "500"}, {"kind": "explode"}]),
        ("faults", {"kind": "500", "times": "3"}),
        ("set", {"colour": "red"}),
        ("set", {"credits": None}),
        ("outage", {}),
        ("set", [1]),
    ],
)
def test_wrong_orders_are_refused_and_change_nothing(client, path, body):
    answer = client.request("POST", f"/_emulator/{path}", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert client.request("GET", "/_emulator/state").json()["faults"] == []


def test_unknown_orders_are_told_what_there_is(client):
    answer = client.request("GET", "/_emulator/help")
    assert answer.status_code == 404
    assert "POST clear-faults" in answer.json()["error"]


def test_the_page_shows_jobs_and_escapes_what_others_wrote(client):
    client.request("POST", "/workflows/v2/slug", json={})
    page = client.request("GET", "/")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "COMPLETED" in page.text
    assert "/outputs/" in page.text
    assert "<script" not in page.text


def test_jobs_that_would_take_an_hour_end_when_they_are_told_to(client) -> None:
    client.emulator.set(job_seconds=3600.0, job_polls=5)
    url = client.job()
    assert client.poll(url).json()["status"] == "QUEUED"
    client.emulator.finish_jobs()
    assert client.poll(url).json()["status"] == "COMPLETED"
