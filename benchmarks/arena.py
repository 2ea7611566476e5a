"""The server's process, and one process after the other for the variants."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import certifi
import trustme

from benchmarks.plan import Plan

ROOT = Path(__file__).resolve().parents[1]
GRACE = 120.0
"""Seconds beyond its patience that a variant has to start and to stop."""


class Arena:
    """
    A server over TLS on 127.0.0.1, on the first core; the variants run on the second one, if there is one.

    Use it as a context manager.
    """

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        cores = sorted(os.sched_getaffinity(0))
        self._server_core: int | None = cores[0] if len(cores) > 1 else None
        self._client_core: int | None = cores[1] if len(cores) > 1 else None

    def __enter__(self) -> Arena:
        self._home = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="segmind-bench-")))
        authority = trustme.CA()
        certificate = self._home / "server.pem"
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
        # With the usual authorities beside ours, since whoever reads the bundle for each request pays for its size.
        self._bundle = self._home / "ca.pem"
        self._bundle.write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
        self._server = self._start("benchmarks.server", str(certificate))
        self._pin(self._server)
        self.host = f"https://127.0.0.1:{self._read(self._server)['port']}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def run(self, plan: Plan) -> dict[str, Any]:
        """
        Run one variant to its end.

        :param plan: what to do; host and core are filled in here.
        :return: what its process and what the server saw.
        """
        with contextlib.ExitStack() as ending:
            host = ending.enter_context(self._emulator()) if plan.emulated else self.host
            plan = replace(plan, host=host, core=self._client_core)
            client = ending.enter_context(self._ended(self._start("benchmarks.variant", **self._airflow(host))))
            self._tell(client, plan.dump())
            if (said := self._line(client)) != "ready":
                raise RuntimeError(f"{plan.variant} did not start: it said {said!r}")
            jobs = {"durations": plan.durations, "missing": plan.variant == "http_sensor"}
            self._order(jobs)
            self._tell(client, "go")
            used = self._read(client)
            seen = self._order({"report": True})
            client.wait(GRACE)
        return {**used, **seen}

    def _airflow(self, host: str) -> dict[str, str]:
        return {
            "AIRFLOW_HOME": str(self._home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__SECRETS__BACKEND": "benchmarks.lookups.CountingBackend",
            "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps({"host": host}),
            "_AIRFLOW_PROCESS_CONTEXT": "client",
            "SSL_CERT_FILE": str(self._bundle),
            "REQUESTS_CA_BUNDLE": str(self._bundle),
            "NO_PROXY": "127.0.0.1",
        }

    @contextlib.contextmanager
    def _emulator(self) -> Iterator[str]:
        """Yield the URL of an emulator whose jobs end at once, beside the server."""
        ready = self._home / "emulator.json"
        ready.unlink(missing_ok=True)
        options = ("--port", "0", "--quiet", "--credits", "1e9", "--job-seconds", "0", "--ready-file", str(ready))
        with self._ended(self._start("airflow_provider_segmind.emulator", *options)) as process:
            self._pin(process)
            while not ready.exists() or not ready.read_text().strip():
                if process.poll() is not None:
                    raise RuntimeError(f"the emulator ended early, with exit code {process.returncode}")
                time.sleep(0.05)
            yield json.loads(ready.read_text())["url"]

    def _pin(self, process: subprocess.Popen[str]) -> None:
        if self._server_core is not None:
            os.sched_setaffinity(process.pid, {self._server_core})

    def _start(self, module: str, *arguments: str, **env: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env={**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._stack.callback(stop, process)
        return process

    @contextlib.contextmanager
    def _ended(self, process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
        try:
            yield process
        finally:
            stop(process)

    def _order(self, order: dict[str, Any]) -> dict[str, Any]:
        self._tell(self._server, json.dumps(order))
        return self._read(self._server)

    def _tell(self, process: subprocess.Popen[str], line: str) -> None:
        if process.stdin is not None:
            process.stdin.write(line + "\n")
            process.stdin.flush()

    def _line(self, process: subprocess.Popen[str]) -> str:
        return process.stdout.readline().strip() if process.stdout is not None else ""

    def _read(self, process: subprocess.Popen[str]) -> dict[str, Any]:
        line = self._line(process)
        if not line:
            raise RuntimeError(f"a process of the benchmark ended early, with exit code {process.wait(GRACE)}")
        words: dict[str, Any] = json.loads(line)
        return words


def stop(process: subprocess.Popen[str]) -> None:
    """End a process, then its pipes, into which it may still write."""
    process.terminate()
    process.wait(GRACE)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
