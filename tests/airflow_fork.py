"""
Airflow's own command in a fork of one process that has imported it, for tests of what the command does.

An ``airflow`` process spends some seconds on its imports before it does anything. :func:`airflow` gives the same
command, environment and output without them. Tests of processes themselves start real ones.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[1]
TIMEOUT = 240

_IMPORTED = (
    "airflow.__main__",
    "airflow.settings",
    "airflow.models.dagrun",
    "airflow.cli.commands.dag_command",
    "airflow.cli.commands.db_command",
    "airflow.cli.commands.pool_command",
    "airflow.dag_processing.dagbag",
    "airflow.api_fastapi.execution_api.app",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow_provider_segmind.decorators.body_swap",
    *(f"airflow_provider_segmind.tasks.{name}" for name in ("batch", "check", "store", "swap", "wait")),
)


def airflow(*words: str, env: Mapping[str, str] | None = None, fork: bool = True) -> subprocess.CompletedProcess[str]:
    """
    Run Airflow's command.

    :param words: what follows ``airflow``.
    :param env: its complete environment; this process's if not given.
    :param fork: whether to fork; what Airflow reads while it is imported, as whether there are metrics, is the parent's
        then.
    :return: exit code and all that it printed, as ``stdout``.
    """
    if not fork:
        command = (sys.executable, "-W", "ignore", "-m", "airflow", *words)
        return subprocess.run(
            command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT, check=False
        )
    parent = _parent()
    assert parent.stdin
    assert parent.stdout
    with tempfile.NamedTemporaryFile("r", dir=os.environ["AIRFLOW_HOME"], errors="replace") as printed:
        parent.stdin.write(json.dumps({"words": words, "env": dict(env or os.environ), "output": printed.name}) + "\n")
        parent.stdin.flush()
        code = int(parent.stdout.readline())
        return subprocess.CompletedProcess(words, code, printed.read(), "")


@cache
def _parent() -> subprocess.Popen[str]:
    """Start the parent of all; it ends with this process, which holds the other end of its standard input."""
    command = (sys.executable, "-W", "ignore", "-m", "tests.airflow_fork")
    env = {**os.environ, "_AIRFLOW__AS_LIBRARY": "1"}
    parent = subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(parent.communicate)
    return parent


def _serve() -> None:
    for module in _IMPORTED:
        import_module(module)
    import_module("tests.hurried.airflow_local_settings")
    # ``dags test`` has the tasks' API in its own process; its first request builds it, which takes five seconds.
    asyncio.run(_ask(import_module("airflow.sdk.execution_time.supervisor").in_process_api_server().app))
    for line in sys.stdin:
        request = json.loads(line)
        pid = os.fork()
        if not pid:
            _run(**request)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with suppress(ProcessLookupError):  # the end of an interpreter would end its children
            os.killpg(pid, signal.SIGKILL)
        sys.stdout.write(f"{code}\n")
        sys.stdout.flush()


async def _ask(app: Any) -> None:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
        await client.get("/health")


def _run(words: list[str], env: dict[str, str], output: str) -> None:
    code = 1
    os.setpgid(0, 0)
    signal.alarm(TIMEOUT)
    try:
        printed = os.open(output, os.O_WRONLY | os.O_APPEND)
        for standard in (1, 2):
            os.dup2(printed, standard)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.environ.clear()
        os.environ.update(env)
        sys.argv = ["airflow", *words]
        import_module("airflow.settings").initialize()
        import_module("airflow.__main__").main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:  # noqa: BLE001 - as the interpreter does with what nobody caught
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
