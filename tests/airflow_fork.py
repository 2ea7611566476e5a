"""
Airflow's own command in a fork of one process that has imported it.

An ``airflow`` process spends some seconds on its imports before it does anything. :func:`airflow` gives the same
command, environment and output without them, and :class:`Component` is a part of a running Airflow. Tests of
processes themselves start real ones.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from multiprocessing.context import ForkServerProcess
from typing import Any

from demo.child import Child

TIMEOUT = 240
_PARENT = multiprocessing.get_context("forkserver")
_PARENT.set_forkserver_preload(["tests.airflow_imported"])


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
    with tempfile.NamedTemporaryFile("r", dir=os.environ["AIRFLOW_HOME"], errors="replace") as printed:
        process = _forked(words, dict(env or os.environ), printed.name)
        process.join(TIMEOUT)
        with suppress(ProcessLookupError):  # the end of an interpreter would end its children
            os.killpg(process.pid or 0, signal.SIGKILL)
        process.join()
        return subprocess.CompletedProcess(words, process.exitcode or 0, printed.read(), "")


class Component(Child):
    """A part of a running Airflow whose process is forked; ``command`` is what follows ``airflow``."""

    def _begin(self) -> Any:
        return _Started(_forked(self._command, self._env, str(self._log_path)))


class _Started:
    """What a :class:`~demo.child.Child` knows of its process, as of one that ``subprocess`` has started."""

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        self.pid = process.pid
        self.terminate = process.terminate

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if (code := self._process.exitcode) is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return code


def _forked(words: tuple[str, ...], env: dict[str, str], output: str) -> ForkServerProcess:
    """Return the running process of a command, in a session of its own."""
    ready, says_so = _PARENT.Pipe(duplex=False)
    process = _PARENT.Process(target=_run, args=(words, env, output, says_so))
    process.start()
    says_so.close()
    with suppress(EOFError):
        ready.recv()
    return process


def _run(words: tuple[str, ...], env: dict[str, str], output: str, says_so: Any) -> None:
    os.setsid()
    says_so.close()
    # An executor's workers are forks, too, as in a process that was not forked.
    multiprocessing.set_start_method("fork", force=True)
    code = 1
    try:
        printed = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        for standard in (1, 2):
            os.dup2(printed, standard)
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
