"""Answers to a poll as no honest service gives them, for every way that an answer takes into Airflow."""

from __future__ import annotations

import gzip
import json
import warnings
from collections.abc import Callable
from typing import Any

import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_segmind.api import flow
from airflow_provider_segmind.api.client import Client
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.api.transport import prepare_session
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.emulator.settings import DEFAULT_KEY
from demo.local_airflow import LocalAirflow
from tests.api.drive import WORKFLOW

BAD = "a\x00b\ud800c\x1b[2Jd\r\nFORGED line\u2028e\u202e"
URL = "https://images.segmind.com/x"


def _completed(keyname: Any, data: Any, kind: Any = "image", **more: Any) -> bytes:
    output = [{"keyname": keyname, "value": {"data": data, "type": kind}}]
    return json.dumps({"status": "COMPLETED", "output": json.dumps(output), **more}).encode()


def _failed(error: Any, name: str = "error") -> bytes:
    return json.dumps({"status": "FAILED", name: error}).encode()


ATTACKS: tuple[tuple[bytes, int], ...] = (
    (_failed(BAD), 200),
    (_failed([{"model": BAD, "error": BAD}], "error_message"), 422),
    (_failed([f"error {i}" for i in range(20_000)]), 200),
    (_failed("\U0001f600" * 100_000), 200),
    (_completed(BAD, f"{URL}.png"), 200),
    (_completed("a", f"{URL}{BAD}.png"), 200),
    (_completed("a", f"{URL}.png?key={DEFAULT_KEY}"), 200),
    (_completed("a", BAD * 1000, "text"), 200),
    (_completed("a", f"{URL}.png", BAD, request_id=BAD), 200),
    (_completed("a" * 1_000_000, f"{URL}.png"), 200),
    (_completed("a", [f"{URL}{i}.png" for i in range(2000)]), 200),
    (json.dumps({"status": "X" * 3_000_000}).encode(), 200),
    (json.dumps({"status": f"PAUSED{BAD}"}).encode(), 200),
    (b'{"error":' * 5000, 200),
    (gzip.compress(b"<html>Bad gateway</html>", mtime=0), 502),
    (gzip.compress(bytes(20_000_000), mtime=0), 200),
    (BAD.encode("utf-8", "surrogatepass"), 503),
    (bytes(range(256)) * 100, 200),
)
"""Bodies, with the HTTP status of each. The first ones ended Airflow's triggerer, again and again."""

_TEXTS = st.sampled_from([BAD, DEFAULT_KEY, URL, "", "x" * 50_000, "NaN", "COMPLETED"]) | st.text(max_size=20)
_TREES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | _TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["error", "error_message", "keyname", "value", "data", "type", "model", "message"])
            | _TEXTS,
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
BODIES = st.one_of(
    st.sampled_from(ATTACKS).map(lambda attack: attack[0]),
    st.binary(max_size=300),
    st.binary(max_size=300).map(lambda data: gzip.compress(data, mtime=0)),
    st.fixed_dictionaries(
        {"status": st.sampled_from(["COMPLETED", "FAILED", "PROCESSING"]) | _TEXTS},
        optional={"output": _TREES | _TREES.map(json.dumps), "error": _TREES, "request_id": _TREES},
    ).map(lambda body: json.dumps(body).encode()),
    st.builds(_completed, _TREES, _TREES, _TREES),
)
STATUSES = st.sampled_from([200, 200, 200, 201, 204, 302, 400, 401, 403, 404, 409, 422, 429, 500, 502, 503])


def drawn(count: int) -> list[tuple[bytes, int]]:
    """Return answers that hypothesis makes up, the same ones each time."""
    made: list[tuple[bytes, int]] = []

    @settings(max_examples=4, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(BODIES, STATUSES), min_size=count, max_size=count, unique=True))
    def draw(answers: list[tuple[bytes, int]]) -> None:
        made[:] = answers

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # hypothesis would rather not print bodies of megabytes
        draw()
    return made


def order(emulator: Emulator) -> str:
    """Order a swap without Airflow, and return its poll URL."""
    inputs = {"character_image": emulator.sample("scene"), "reference_character_image": emulator.sample("person")}
    known = Settings.from_connection(host=emulator.url, password=emulator.api_key)
    with requests.Session() as session:
        client = Client(known, prepare_session(session))
        return client.run(flow.order(known, client.auth, WORKFLOW, inputs)).poll_url


def play(airflow: LocalAirflow, emulator: Emulator, query: Callable[[str], list[dict[str, Any]]]) -> None:
    """
    Let a real Airflow wait for jobs whose polls get all of :data:`ATTACKS`, and some more, and see it live.

    :param query: asks the metadata database.
    """
    emulator.set(job_seconds=3600, job_polls=0)
    healthy = order(emulator)
    attacks = [*ATTACKS, *drawn(12)]
    attacked = [order(emulator) for _ in attacks]
    for poll_url, (body, status) in zip(attacked, attacks, strict=True):
        job = poll_url.rpartition("/")[2]
        emulator.script(Fault("raw", on="poll", times=None, request_id=job, body=body, status=status))
    airflow.wait_for_dag("hostile")
    airflow.unpause("hostile")
    triggerers = query("SELECT id FROM job WHERE job_type = 'TriggererJob'")
    run_id = airflow.trigger("hostile", {"attacked": attacked, "healthy": healthy})

    def states() -> dict[tuple[str, int], str]:
        rows = query("SELECT task_id, map_index, state FROM task_instance WHERE dag_id = 'hostile'")
        return {(row["task_id"], row["map_index"]): row["state"] for row in rows}

    def attacks_end() -> bool:
        ended = [state for (task, _), state in states().items() if task in ("ends", "resumes")]
        return len(ended) == 2 * len(attacks) and {*ended} <= {"success", "failed"}

    airflow.wait_until("every attacked wait ends, at its timeout at the latest", attacks_end, 300, every=1.0)
    assert states()["healthy", -1] == "deferred"
    emulator.finish_jobs()
    emulator.set(job_seconds=0)
    airflow.wait_for_run("hostile", run_id, 120)
    assert states()["healthy", -1] == "success"
    spelled = ".".join(emulator.api_key[:6])
    assert states()["rendered", 0] == "failed"
    assert not [seen.path for seen in emulator.requests if spelled in seen.path], "what an XCom said was rendered"
    assert query("SELECT id FROM job WHERE job_type = 'TriggererJob'") == triggerers, "the triggerer was started anew"
    for task_id, map_index in states():
        log = airflow.task_log("hostile", run_id, task_id, 1, map_index)
        assert emulator.api_key not in log
        assert spelled not in log
        assert "\x1b" not in log
        assert not any(line.startswith("FORGED") for line in log.splitlines())
    for map_index, (body, _) in enumerate(attacks):
        ends, resumes = states()["ends", map_index], states()["resumes", map_index]
        assert ends == resumes, body[:100]
        if ends == "success":
            result = airflow.xcom("hostile", run_id, "ends", map_index=map_index)
            assert result == airflow.xcom("hostile", run_id, "resumes", map_index=map_index)
            assert emulator.api_key not in json.dumps(result)
