from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from airflow_provider_segmind.emulator.__main__ import main

MODULE = [sys.executable, "-m", "airflow_provider_segmind.emulator"]
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MODULE, *arguments], capture_output=True, text=True, timeout=30, env=ENVIRONMENT, check=False
    )


def wait_for(path: Path) -> dict[str, str]:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, "it did not get ready"
        time.sleep(0.02)
    return json.loads(path.read_text())


@contextlib.contextmanager
def running(*arguments: str, environment: dict[str, str] = ENVIRONMENT) -> Iterator[subprocess.Popen[str]]:
    command = [*MODULE, "--port", "0", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            # A failed assertion must not leave a process behind that the test then waits for.
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_says_how_to_connect_logs_jobs_and_ends_cleanly(tmp_path, number):
    ready = tmp_path / "ready.json"
    with running("--ready-file", str(ready), "--fault", "500:submit:1,after=1", "--job-polls", "1") as process:
        told = wait_for(ready)
        headers = {"x-api-key": told["api_key"]}
        url = f"{told['url']}/workflows/1-v1"
        first = requests.post(url, json={}, headers=headers, timeout=5)
        assert requests.post(url, json={}, headers=headers, timeout=5).status_code == 500
        for _ in range(2):
            requests.get(first.json()["poll_url"], headers=headers, timeout=5)
        assert told["pid"] == process.pid
        process.send_signal(number)
        output, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    assert f"submitted {first.json()['request_id']}" in output
    assert f"finished  {first.json()['request_id']}  COMPLETED, 2 polls" in output
    (line,) = [line for line in output.splitlines() if "AIRFLOW_CONN_SEGMIND_DEFAULT=" in line]
    assert json.loads(line.partition("='")[2].removesuffix("'"))["host"] == told["url"]


def test_it_says_how_another_container_connects(tmp_path):
    ready = tmp_path / "ready.json"
    with running("--host", "0.0.0.0", "--allow-remote", "--name", "emulator", "--ready-file", str(ready)) as process:
        port = wait_for(ready)["url"].rpartition(":")[2]
        process.terminate()
        output, _ = process.communicate(timeout=10)
    (line,) = [line for line in output.splitlines() if "AIRFLOW_CONN_SEGMIND_DEFAULT=" in line]
    connection = json.loads(line.partition("='")[2].removesuffix("'"))
    assert connection["host"] == f"http://emulator:{port}"
    assert connection["extra"]["emulator_host"] == "emulator"


def test_help_explains_with_examples():
    result = run("--help")
    assert result.returncode == 0
    assert "--fault drop-after:submit:1" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fault", "explode"], "known are"),
        (["--fault", "500:submit:1,colour=red"], "colour"),
        (["--fault", "500:submit:0"], "times must be 1 or more"),
        (["--host", "0.0.0.0"], "--allow-remote"),
    ],
)
def test_what_it_cannot_do_it_refuses_with_the_reason(arguments, words):
    result = run(*arguments)
    assert result.returncode == 2
    assert words in result.stderr


def test_it_writes_drawn_photographs(tmp_path):
    assert main(["samples", str(tmp_path / "photographs")]) == 0
    written = {path.name: path.read_bytes()[:3] for path in (tmp_path / "photographs").iterdir()}
    assert written["scene-0.png"] == written["person-0.png"] == b"\x89PN"
    assert written["scene-3.jpg"] == b"\xff\xd8\xff"


def test_importing_the_package_costs_nothing():
    script = "import sys, airflow_provider_segmind.emulator; print('aiohttp' in sys.modules, 'airflow' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=ENVIRONMENT, check=True, timeout=30
    )
    assert result.stdout.split() == ["False", "False"]
