from __future__ import annotations

import base64
import json

import pytest
import requests

from airflow_provider_segmind.emulator import Emulator

PATIENCE = 30
"""Seconds for an answer; a picture takes a busy machine longer than five."""


@pytest.mark.belief("order", "poll-host")
def test_a_submit_answers_with_an_id_and_a_poll_url_on_the_host_that_was_asked(client, emulator):
    answer = client.submit()
    body = answer.json()
    assert answer.status_code == 200
    assert body["status"] == "QUEUED"
    assert body["poll_url"] == f"{emulator.url}/workflows/request/{body['request_id']}"
    assert len(body["request_id"]) == 32


@pytest.mark.belief("order", "poll-host", "first-poll", "statuses", "output-form", "keyname", "output-type")
def test_a_job_goes_from_queued_over_processing_to_completed_in_the_polls_it_was_given(client, emulator):
    emulator.set(job_polls=3)
    url = client.job()
    bodies = [client.poll(url).json() for _ in range(5)]
    assert [body["status"] for body in bodies] == ["QUEUED", "PROCESSING", "PROCESSING", "COMPLETED", "COMPLETED"]
    assert [body["output"] for body in bodies[:3]] == ["", "", ""]
    (output,) = json.loads(bodies[3]["output"])
    assert output["keyname"] == "body_swap_image"
    assert output["value"]["type"] == "image"


@pytest.mark.belief("order", "poll-host", "first-poll", "statuses")
def test_a_job_needs_both_its_time_and_its_polls(client, emulator, clock):
    emulator.set(job_seconds=300, job_polls=1)
    url = client.job()
    assert client.poll(url).json()["status"] == "QUEUED"
    assert client.poll(url).json()["status"] in ("QUEUED", "PROCESSING")
    clock.sleep(300)
    assert client.poll(url).json()["status"] == "COMPLETED"


@pytest.mark.belief("order", "poll-host", "first-poll", "output-form", "output-type")
def test_the_output_can_be_a_list_that_is_already_parsed(client, emulator):
    emulator.set(output_as="list")
    assert client.poll(client.job()).json()["output"][0]["value"]["type"] == "image"


@pytest.mark.belief("order", "poll-host", "first-poll", "unknown-job")
def test_a_record_expires_some_time_after_the_end(client, emulator, clock):
    emulator.set(record_seconds=200)
    url = client.job()
    assert client.poll(url).status_code == 200
    clock.sleep(200)
    answer = client.poll(url)
    assert answer.status_code == 404
    assert answer.json()["error"].endswith("not found")


@pytest.mark.belief("unknown-job")
def test_an_unknown_request_is_404(client):
    answer = client.poll("/workflows/request/4f74")
    assert (answer.status_code, answer.json()) == (404, {"error": "Request 4f74 not found"})


@pytest.mark.belief("order")
@pytest.mark.parametrize("workflow", ["0123-v2", "v2/some-slug"])
def test_any_workflow_with_a_version_or_a_slug_is_known(client, workflow):
    assert client.request("POST", f"/workflows/{workflow}", json={}).status_code == 200


@pytest.mark.belief("unknown-workflow")
@pytest.mark.parametrize("workflow", ["missing-v1", "v2/missing", "678b67a76426baad7e539337"])
def test_other_workflows_are_404_and_cost_nothing(client, emulator, workflow):
    answer = client.request("POST", f"/workflows/{workflow}", json={})
    assert (answer.status_code, answer.json()) == (404, {"error": "Workflow not found"})
    assert emulator.charges == ()


def test_a_mistyped_path_is_plain_text_and_a_wrong_method_is_html(client):
    wrong_path = client.request("POST", "/workflow/1-v1", json={})
    assert (wrong_path.status_code, wrong_path.text) == (400, "Incorrect or Missing host header")
    wrong_method = client.request("GET", "/workflows/1-v1")
    assert wrong_method.status_code == 405
    assert wrong_method.headers["Content-Type"].startswith("text/html")


def test_a_body_that_is_not_json_is_refused_and_not_billed(client, emulator):
    assert client.submit(json=None, data=b"{oops", headers={"Content-Type": "application/json"}).status_code == 400
    assert client.submit(json=None, data=b"a=b").json() == {"error": "Invalid content type"}
    assert emulator.charges == ()


@pytest.mark.belief("wrong-key")
@pytest.mark.parametrize(
    ("auth", "header", "status"),
    [
        ("both", "Authorization", 200),
        ("both", "x-api-key", 200),
        ("bearer", "Authorization", 200),
        ("bearer", "x-api-key", 401),
        ("x-api-key", "Authorization", 401),
        ("x-api-key", "x-api-key", 200),
    ],
)
def test_only_the_chosen_header_lets_in(emulator, auth, header, status):
    emulator.set(auth=auth)
    value = f"Bearer {emulator.api_key}" if header == "Authorization" else emulator.api_key
    answer = requests.get(f"{emulator.url}/v1/get-user-credits", headers={header: value}, timeout=PATIENCE)
    assert answer.status_code == status


@pytest.mark.belief("wrong-key")
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"x-api-key": "ü"}])
def test_without_the_right_key_nothing_is_accepted(emulator, headers):
    raw = {name: value.encode() for name, value in headers.items()}
    answer = requests.post(f"{emulator.url}/workflows/1-v1", json={}, headers=raw, timeout=PATIENCE)
    assert answer.status_code == 401
    assert answer.json() == {"error": "Missing Authorization or x-api-key in header"}
    assert emulator.charges == ()


@pytest.mark.belief("upload-name", "upload-host", "upload-url")
@pytest.mark.parametrize("name", ["file_urls", "urls"])
def test_uploads_come_back_byte_for_byte_without_a_key(client, emulator, name):
    emulator.set(upload_as=name)
    data_urls = [f"data:image/{kind};base64,{base64.b64encode(kind.encode()).decode()}" for kind in ("png", "jpeg")]
    urls = client.request("POST", "/upload-asset", json={"data_urls": data_urls}).json()[name]
    files = [requests.get(url, timeout=PATIENCE) for url in urls]
    assert [file.content for file in files] == [b"png", b"jpeg"]
    assert [file.headers["Content-Type"] for file in files] == ["image/png", "image/jpeg"]
    assert urls[1].endswith(".jpg")
    assert urls[0].startswith(emulator.url)


@pytest.mark.parametrize(
    "body", [{}, {"data_urls": []}, {"data_urls": ["https://x/y.png"]}, {"data_urls": ["data:image/png;base64,?"]}]
)
def test_other_uploads_are_refused(client, body):
    assert client.request("POST", "/upload-asset", json=body).status_code == 400


@pytest.mark.belief("order")
def test_files_that_are_not_there_are_404(client, emulator):
    emulator.set(job_polls=1)
    client.job()
    (job,) = emulator.jobs.values()
    for path in ("/assets/x.png", "/samples/cat/0.png", "/outputs/x.png", f"/outputs/{job.picture}"):
        assert client.request("GET", path).status_code == 404


@pytest.mark.belief("auth")
def test_a_key_is_taken_as_bearer(emulator):
    headers = {"Authorization": f"Bearer {emulator.api_key}"}
    assert requests.get(f"{emulator.url}/v1/get-user-credits", headers=headers, timeout=PATIENCE).status_code == 200


@pytest.mark.belief("order", "poll-host", "first-poll", "duration")
def test_a_swap_takes_up_to_three_minutes(clock, like):
    with Emulator(clock=clock, like=like) as emulator:
        headers = {"x-api-key": emulator.api_key, "Authorization": f"Bearer {emulator.api_key}"}
        answer = requests.post(f"{emulator.url}/workflows/1-v1", json={}, headers=headers, timeout=PATIENCE)
        clock.sleep(180)
        assert (
            requests.get(answer.json()["poll_url"], headers=headers, timeout=PATIENCE).json()["status"] == "COMPLETED"
        )


@pytest.mark.belief("credits")
def test_a_balance_has_two_names(client):
    assert client.request("GET", "/v1/get-user-credits").json().keys() == {"credits", "free-credits"}


@pytest.mark.belief("order", "limit-headers")
def test_answers_do_not_tell_the_rate_limit(client):
    answers = (client.request("GET", "/v1/get-user-credits"), client.submit())
    assert [name for answer in answers for name in answer.headers if "limit" in name.lower()] == []


@pytest.mark.belief("order", "price")
def test_a_swap_costs_what_is_documented(client, emulator):
    client.submit()
    assert [charge.amount for charge in emulator.charges] == [0.2687]


@pytest.mark.belief("order", "poll-host", "first-poll", "poll-code")
def test_polls_are_answered_with_200(client, emulator):
    emulator.set(job_polls=2)
    url = client.job()
    assert [client.poll(url).status_code for _ in range(3)] == [200, 200, 200]


@pytest.mark.belief("order", "history", "history-order")
def test_the_history_lists_an_order_while_it_runs(client, emulator):
    emulator.set(job_polls=1)
    request_id = client.submit().json()["request_id"]
    (row,) = client.request("GET", "/inference-request/request-history").json()["data"]
    assert row["request_id"] == request_id


@pytest.mark.belief("order", "history", "history-names", "history-order", "history-inputs")
def test_the_history_shows_the_inputs_as_sent(client, clock):
    scene = f"{client.inputs()['character_image']}#order=1"
    client.submit(json={**client.inputs(), "character_image": scene})
    clock.sleep(60)
    (row,) = client.request("GET", "/inference-request/request-history").json()["data"]
    assert row.keys() >= {"model_status", "model_created"}
    assert row["request_body"]["character_image"] == scene


@pytest.mark.belief("order", "poll-host", "first-poll", "output-form", "output-host", "output-url", "picture")
def test_a_result_is_a_png_at_a_plain_url_of_the_same_host(client, emulator):
    url = json.loads(client.poll(client.job()).json()["output"])[0]["value"]["data"]
    assert url.startswith(f"{emulator.url}/outputs/")
    assert "?" not in url
    assert requests.get(url, timeout=PATIENCE).content.startswith(b"\x89PNG")


@pytest.mark.belief("order", "poll-host", "first-poll", "record-life")
def test_a_record_is_there_for_an_hour(client, clock):
    url = client.job()
    clock.sleep(3600)
    assert client.poll(url).json()["status"] == "COMPLETED"


@pytest.mark.belief("order", "picture-life")
def test_a_result_is_there_for_seven_days(client, emulator, clock):
    client.submit()
    (job,) = emulator.jobs.values()
    clock.sleep(7 * 86400)
    assert client.request("GET", f"/outputs/{job.picture}").status_code == 200


def test_requests_are_recorded_as_they_were_seen_on_the_wire(client, emulator):
    client.submit(headers={"X-Test": "Yes"})
    (record,) = emulator.requests
    assert (record.method, record.path, record.status) == ("POST", "/workflows/678b67a76426baad7e539337-v4", 200)
    assert record.headers["x-test"] == "Yes"
    assert json.loads(record.body) == client.inputs()


def test_connections_are_counted(client, emulator):
    client.submit()
    client.submit()
    assert (emulator.connections, emulator.open_connections) == (1, 1)


def test_two_runs_with_the_same_seed_give_the_same_ids():
    runs = []
    for _ in range(2):
        with Emulator(seed=7) as emulator:
            headers = {"x-api-key": emulator.api_key}
            url = f"{emulator.url}/workflows/1-v1"
            runs.append(
                [requests.post(url, json={}, headers=headers, timeout=PATIENCE).json()["request_id"] for _ in range(3)]
            )
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 3


def test_latency_is_added_to_every_answer(client, emulator):
    emulator.set(latency=0.05)
    assert client.request("GET", "/v1/get-user-credits").elapsed.total_seconds() >= 0.05
