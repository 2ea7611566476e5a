"""A web page that is open in a developer's browser can neither drive the emulator nor read what it was sent."""

from __future__ import annotations

import base64
import json

import pytest
import requests

from airflow_provider_segmind.emulator import Emulator, Fault

REAL_KEY = "SG_" + "a1b2c3d4e5f60718"  # in two parts, so that no search for keys finds it here
ATTACKER = "http://evil.example"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8765", "127.0.0.1.evil.example", "localhost.evil.example", "emulator:8765",
        "127.0.0.1@evil.example", "evil.example:127.0.0.1", "[evil.example]", "2130706433",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/_emulator/requests", "/samples/scene/0.png", "/v1/get-user-credits"])
def test_a_name_that_somebody_has_resolve_to_this_machine_is_answered_nothing(client, host, path):
    answer = client.request("GET", path, headers={"Host": host})
    assert (answer.status_code, answer.headers["Content-Type"]) == (421, "application/json")
    assert "start it with --name" in answer.json()["error"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:8765", "192.0.2.7:8765"])
def test_addresses_and_localhost_are_no_names_that_somebody_else_can_have(client, host):
    assert client.request("GET", "/v1/get-user-credits", headers={"Host": host}).status_code == 200


FOREIGN = {
    "another origin": {"Origin": ATTACKER},
    "a sandboxed page": {"Origin": "null"},
    "another port of this machine": {"Origin": "http://127.0.0.1:8080"},
    "no origin, another site": {"Sec-Fetch-Site": "cross-site"},
    "no origin, the same site": {"Sec-Fetch-Site": "same-site"},
}


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/json"])
def test_a_page_of_another_origin_changes_nothing(client, emulator, headers, media_type):
    client.submit()
    headers = {**headers, "Content-Type": media_type}
    orders = {
        "set": {"api_key": "SG_theirs", "credits": 0}, "reset": {}, "outage": {"seconds": 60},
        "faults": {"kind": "500"}, "clear-faults": {},
    }  # fmt: skip
    for name, data in orders.items():
        answer = requests.post(f"{emulator.url}/_emulator/{name}", json.dumps(data), headers=headers, timeout=5)
        assert answer.status_code == 403
        assert "Access-Control-Allow-Origin" not in answer.headers
    assert client.submit(headers=headers).status_code == 403, "not even with the key, which anybody knows"
    assert (emulator.api_key, len(emulator.charges)) == ("SG_0123456789abcdef", 1)
    assert client.submit().status_code == 200


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
def test_a_page_of_another_origin_may_show_pictures_and_link_to_the_overview_and_read_nothing(client, headers):
    client.submit()
    assert client.request("GET", "/samples/scene/0.png", headers=headers).status_code == 200
    overview = client.request("GET", "/", headers=headers)
    assert overview.status_code == 200
    assert "frame-ancestors 'none'" in overview.headers["Content-Security-Policy"]
    for name in ("state", "charges", "requests", "jobs"):
        assert client.request("GET", f"/_emulator/{name}", headers=headers).status_code == 403


@pytest.mark.parametrize("name", ["reset", "clear-faults"])
def test_an_order_without_a_body_needs_what_a_page_cannot_send_too(client, emulator, name):
    client.submit()
    emulator.script(Fault("500", on="poll"))
    for headers in ({}, {"Content-Type": "text/plain"}, {"Referer": ATTACKER}):
        assert client.request("POST", f"/_emulator/{name}", headers=headers).status_code == 415
    assert (len(emulator.charges), len(client.request("GET", "/_emulator/state").json()["faults"])) == (1, 1)
    assert client.request("POST", f"/_emulator/{name}", json={}).status_code == 200


def test_what_a_form_can_send_is_no_order_even_from_a_browser_that_does_not_say_where_it_is(client, emulator):
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = client.request("POST", "/_emulator/set", data='{"credits": 0}', headers={"Content-Type": media_type})
        assert answer.status_code == 415
    assert emulator.settings.credits == 100.0


def test_its_own_page_and_a_program_may_drive_it(client, emulator):
    own = {"Origin": emulator.url, "Sec-Fetch-Site": "same-origin"}
    assert client.request("POST", "/_emulator/set", json={"credits": 5}, headers=own).status_code == 200
    assert client.request("POST", "/_emulator/set", json={"credits": 4}).json()["settings"]["credits"] == 4


def test_a_real_key_that_was_sent_by_mistake_is_shown_to_nobody(client, emulator):
    url, body = f"{emulator.url}/workflows/1-v1", {"character_image": f"https://x.example/a.png?key={REAL_KEY}"}
    for headers in (
        {"Authorization": f"Bearer {REAL_KEY}"},
        {"x-api-key": REAL_KEY, "Cookie": f"key={REAL_KEY}", "Proxy-Authorization": f"Basic {REAL_KEY}"},
        {"Authorization": "Bearer a-key-of-another-form"},
    ):
        requests.post(f"{url}?api_key={REAL_KEY}", json=body, headers=headers, timeout=5)
    client.request("POST", f"/workflows/{REAL_KEY}-v1", json=body)
    for path in ("/", *(f"/_emulator/{name}" for name in ("state", "charges", "requests", "jobs"))):
        text = client.request("GET", path).text
        assert REAL_KEY not in text
        assert "a-key-of-another-form" not in text
    kept = [record.headers for record in emulator.requests]
    assert REAL_KEY not in repr(kept)
    assert kept[0]["authorization"] == "Bearer (not this emulator's key: 19 characters)"
    assert kept[3]["authorization"] == f"Bearer {emulator.api_key}"


OTHER_KEY = "sk-0f9e8d7c6b5a4938"


def written(key: str) -> dict[str, str]:
    """Return a key as URLs and JSON may have it."""
    coded = "".join(f"%{ord(letter):02X}" for letter in key)
    return {
        "plain": key,
        "percent": key.replace("_", "%5F"),
        "percent twice": key.replace("_", "%255f"),
        "all percent": coded,
        "escaped": "".join(f"\\u{ord(letter):04x}" for letter in key),
    }


@pytest.mark.parametrize("form", written(REAL_KEY).values(), ids=written(REAL_KEY))
def test_a_real_key_is_shown_to_nobody_in_whatever_characters_it_was_sent(client, form):
    text = f'{{"character_image": "https://x.example/a.png?k={form}"}}'
    client.request("POST", "/workflows/1-v1", data=text, headers={"Content-Type": "application/json"})
    client.request("GET", f"/v1/get-user-credits?k={form}")
    assert_hidden(client, REAL_KEY, form)


def test_a_key_of_any_form_is_shown_to_nobody_where_it_is_called_one(client):
    client.request("GET", f"/v1/get-user-credits?api_key={OTHER_KEY}")
    client.request("GET", f"/v1/get-user-credits?a=1&api%5Fkey={OTHER_KEY}&b=2")
    client.request(
        "POST", "/workflows/1-v1", json={"api_key": OTHER_KEY, "token": OTHER_KEY, "output_key": "swapped-1"}
    )
    client.request("POST", "/workflows/1-v1", json={"character_image": f"https://x.example/a.png?x=1&key={OTHER_KEY}"})
    assert_hidden(client, OTHER_KEY)
    assert client.request("GET", "/_emulator/charges").json()[0]["inputs"]["output_key"] == "swapped-1"


@pytest.mark.parametrize("headers", [{"Authorization": f"Bearer {OTHER_KEY},"}, {"Cookie": f"key={OTHER_KEY}"}])
def test_a_key_of_any_form_is_shown_to_nobody_anywhere_once_it_was_sent_as_one(client, emulator, headers):
    client.request("POST", "/workflows/1-v1", json={"character_image": f"https://x.example/{OTHER_KEY}/a.png"})
    requests.get(f"{emulator.url}/{OTHER_KEY}/x", headers=headers, timeout=5)
    assert_hidden(client, OTHER_KEY)


def test_of_many_keys_of_other_forms_the_newest_are_known(client, emulator):
    keys = [f"sk-{number:016}" for number in range(40)]
    for key in keys:
        requests.get(f"{emulator.url}/{key}", headers={"x-api-key": key}, timeout=5)
    assert_hidden(client, *keys[-20:])


def assert_hidden(client, *forms: str) -> None:
    for path in ("/", *(f"/_emulator/{name}" for name in ("state", "charges", "requests", "jobs"))):
        text = client.request("GET", path).text
        for form in forms:
            assert form not in text
            assert json.dumps(form)[1:-1] not in text


SCRIPT = b"<script>fetch('/_emulator/requests')</script>"


@pytest.mark.parametrize(
    "media_type", ["text/html", "image/svg+xml", "application/xhtml+xml", "text/xml", "text/plain"]
)
def test_an_upload_that_could_hold_a_script_is_no_page(client, media_type):
    data_url = f"data:{media_type};base64,{base64.b64encode(SCRIPT).decode()}"
    (url,) = client.request("POST", "/upload-asset", json={"data_urls": [data_url]}).json()["file_urls"]
    answer = requests.get(url, timeout=5)
    assert answer.content == SCRIPT
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment"


def test_no_answer_may_be_taken_for_another_type_than_it_says(client):
    data_url = f"data:image/png;base64,{base64.b64encode(SCRIPT * 30_000).decode()}"
    (url,) = client.request("POST", "/upload-asset", json={"data_urls": [data_url]}).json()["file_urls"]
    for path in ("/", "/_emulator/state", "/samples/scene/0.png", "/nothing", url):
        assert client.request("GET", path).headers["X-Content-Type-Options"] == "nosniff"


def test_a_name_that_it_was_given_is_let_in_and_stands_in_its_answers():
    with Emulator(names=["emulator"]) as running:
        headers = {"Host": f"Emulator:{running.port}", "x-api-key": running.api_key}
        told = requests.post(f"{running.url}/workflows/1-v1", json={}, headers=headers, timeout=5).json()
        assert told["poll_url"].startswith(f"http://Emulator:{running.port}/workflows/request/")
        connection = running.airflow_connection()
        assert connection["host"] == f"http://emulator:{running.port}"
        assert connection["extra"]["emulator_host"] == "emulator"
