from __future__ import annotations

import asyncio
import json
import ssl
import time
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import pytest
import requests
import trustme

from airflow_provider_segmind.emulator import Emulator, Fault


def test_the_documented_sample_script_works(emulator):
    emulator.set(job_polls=2)
    headers = {"Authorization": f"Bearer {emulator.api_key}", "Content-Type": "application/json"}
    data = {"character_image": emulator.sample("scene"), "reference_character_image": emulator.sample("person")}
    response = requests.post(
        f"{emulator.url}/workflows/678b67a76426baad7e539337-v4", json=data, headers=headers, timeout=5
    )
    poll_url = response.json()["poll_url"]
    while True:
        result = requests.get(poll_url, headers=headers, timeout=5).json()
        if result["status"] in ("COMPLETED", "FAILED"):
            break
    assert json.loads(result["output"])[0]["value"]["data"].startswith(f"{emulator.url}/outputs/")


def test_the_official_sdk_works(emulator):
    segmind = pytest.importorskip("segmind")
    client = segmind.SegmindClient(api_key=emulator.api_key)
    url = f"{emulator.url}/workflows/678b67a76426baad7e539337-v4"
    try:
        result = client.pixelflows.run(workflow_url=url, data={"select_character": "man"})
    finally:
        client._client.close()
    assert result["status"] == "COMPLETED"
    assert result["output"][0]["value"]["type"] == "image"
    assert len(emulator.charges) == 1


async def test_https_with_an_own_certificate_works(tmp_path):
    authority = trustme.CA()
    server, trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(trusted)
    with Emulator(ssl_context=server) as emulator:
        headers = {"x-api-key": emulator.api_key}
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusted), headers=headers) as session:
            async with session.post(f"{emulator.url}/workflows/1-v1", json={}) as answer:
                poll_url = (await answer.json())["poll_url"]
            assert poll_url.startswith("https://127.0.0.1:")
            emulator.script(Fault("drop-after"))
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.post(f"{emulator.url}/workflows/1-v1", json={})
    assert len(emulator.charges) == 2


async def test_clients_that_vanish_leave_it_running(emulator):
    emulator.set(latency=60)
    headers = {"x-api-key": emulator.api_key}
    async with aiohttp.ClientSession(headers=headers) as session:
        posts = [asyncio.ensure_future(session.post(f"{emulator.url}/workflows/1-v1", json={})) for _ in range(5)]
        while len(emulator.requests) < 5:  # noqa: ASYNC110 - the emulator has a thread of its own
            await asyncio.sleep(0.01)
        for post in posts:
            post.cancel()
        await asyncio.gather(*posts, return_exceptions=True)
        assert all(post.cancelled() for post in posts)
        emulator.set(latency=0)
        assert len(emulator.charges) == 5
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{emulator.url}/v1/get-user-credits") as answer,
    ):
        assert answer.status == 200


def test_what_happened_stays_readable_after_the_end():
    with Emulator() as emulator:
        requests.post(f"{emulator.url}/workflows/1-v1", json={}, headers={"x-api-key": emulator.api_key}, timeout=5)
    assert len(emulator.charges) == len(emulator.requests) == len(emulator.jobs) == 1
    with pytest.raises(requests.ConnectionError):
        requests.get(emulator.url, timeout=2)


def test_it_ends_at_once_although_clients_keep_connections_open_or_wait():
    emulator = Emulator().start()
    headers = {"x-api-key": emulator.api_key}
    with requests.Session() as idle, ThreadPoolExecutor(1) as pool:
        idle.get(f"{emulator.url}/v1/get-user-credits", headers=headers, timeout=5)
        emulator.script(Fault("hang-after", on="credits", seconds=600))
        waiting = pool.submit(requests.get, f"{emulator.url}/v1/get-user-credits", headers=headers, timeout=300)
        while len(emulator.requests) < 2:
            time.sleep(0.01)
        emulator.stop()
        # Not by its own timeout, so the end did not wait for it.
        assert isinstance(waiting.exception(), requests.ConnectionError)


def test_a_taken_port_is_an_error_at_the_start(emulator):
    with pytest.raises(OSError):
        Emulator(port=emulator.port).start()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"auth": "basic"}, "auth must be one of both, bearer, x-api-key, not 'basic'"),
        ({"rate_limit_headers": "soon"}, "rate_limit_headers must be one of retry-after, .*, not 'soon'"),
        ({"price": -1}, "price must be 0 or more, not -1"),
        ({"credits": "much"}, "credits must be float, not 'much'"),
        ({"job_seconds": [1, "2-3"]}, "2-3"),
        ({"requests_per_minute": True}, "requests_per_minute must be int | None, not True"),
        ({"history": 0}, "history must be bool, not 0"),
        ({"api_key": ""}, "api_key must not be empty"),
    ],
)
def test_wrong_settings_are_refused_at_once_and_while_running(emulator, wrong, words):
    with pytest.raises(ValueError, match=words.replace("|", r"\|")):
        Emulator(**wrong)
    with pytest.raises(ValueError, match=words.replace("|", r"\|")):
        emulator.set(**wrong)
    with pytest.raises(ValueError, match="no such setting: colour"):
        emulator.set(colour="red")


def test_it_offers_itself_as_an_airflow_connection(emulator):
    connection = emulator.airflow_connection()
    assert connection["conn_type"] == "segmind"
    assert (
        connection["host"] == connection["extra"]["storage_url"] == connection["extra"]["history_url"] == emulator.url
    )
    assert connection["password"] == emulator.api_key
