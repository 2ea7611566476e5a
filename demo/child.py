"""One program started in a session of its own, so that nothing it starts can outlive it unnoticed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from demo.interrupts import deferred

GRACE = 10.0


class ChildDiedError(RuntimeError):
    """A program that should be running has ended, or never came up; the message shows the end of its log."""


class Child:
    """
    A program, its log file, which a restart appends to, and every process that descends from it.

    Its command must hold no secret, since every user of the machine can read it.
    """

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], log_path: Path) -> None:
        self.name = name
        self._command, self._env, self._log_path = tuple(command), dict(env), log_path
        self.started_at = 0.0  # seconds since the epoch, of the latest start
        self.expected_dead = False  # whether it was killed or stopped on purpose
        self._process: subprocess.Popen[bytes] | None = None
        # session id -> when it began; a killed and restarted program may have left processes in the first one
        self._sessions: dict[int, float] = {}

    def start(self) -> None:
        """Start the program."""
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        with deferred():
            self.started_at = time.time()
            self._process = self._begin()
            self._sessions[self._process.pid] = self.started_at
            self.expected_dead = False

    def _begin(self) -> subprocess.Popen[bytes]:
        with self._log_path.open("ab") as log:
            return subprocess.Popen(
                self._command,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def is_alive(self) -> bool:
        """Whether the program itself is running."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Process id of the program itself, also after its end; ``None`` before the first start."""
        return self._process.pid if self._process else None

    @property
    def pids(self) -> list[int]:
        """Ids of all live processes of its sessions: the program, its workers, their tasks."""
        # Airflow gives task processes groups of their own. They stay in the session, also when the program is dead.
        return [pid for pid in psutil.pids() if self._owns(pid)]

    def _owns(self, pid: int) -> bool:
        try:
            began = self._sessions.get(os.getsid(pid))
            if began is None:
                return False
            process = psutil.Process(pid)
            # The age tells our process from a stranger's that got the number of a session that is long over.
            return bool(process.status() != psutil.STATUS_ZOMBIE and process.create_time() >= began - 2)
        except (psutil.Error, OSError):
            return False

    def kill(self, sig: int = signal.SIGKILL, *, everything: bool = True) -> None:
        """Send a signal to all processes of the session, as when a machine goes, or to the program alone."""
        self.expected_dead = True
        for pid in self.pids if everything else [self.pid] if self.is_alive and self.pid else []:
            try:
                os.kill(pid, sig)
            except ProcessLookupError:
                continue
        if sig == signal.SIGKILL and self._process is not None:
            self._process.wait(timeout=GRACE)

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the program itself, without waiting."""
        self.expected_dead = True
        if self._process is not None and self.is_alive:
            self._process.terminate()

    def stop(self, grace: float = GRACE) -> None:
        """End the program, by itself within ``grace`` seconds, and kill all that it started and that is left."""
        self.ask_to_stop()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(grace)
        deadline = time.monotonic() + GRACE
        while left := self.pids:
            if time.monotonic() > deadline:
                raise ChildDiedError(f"{self.name}: processes {left} cannot be stopped.")
            self.kill()
            time.sleep(0.05)
        if self._process is not None:
            self._process.wait(timeout=GRACE)  # it may be dead already and only not collected yet
        self._sessions.clear()

    def wait(self, timeout: float) -> None:
        """Wait until the program has ended; raise :class:`ChildDiedError` if it fails or takes more seconds."""
        try:
            code = self._process.wait(timeout) if self._process else 0
        except subprocess.TimeoutExpired:
            raise ChildDiedError(self.describe(f"did not end within {timeout:.0f} s")) from None
        if code:
            raise ChildDiedError(self.describe(f"ended with exit code {code}"))

    def check(self) -> None:
        """Raise :class:`ChildDiedError` if the program ended, unless it was killed or stopped on purpose."""
        if self._process is not None and not self.is_alive and not self.expected_dead:
            raise ChildDiedError(self.describe(f"died with exit code {self._process.returncode}"))

    def describe(self, what: str) -> str:
        """Say what happened to the program, with the last lines of its log."""
        lines = self._log_path.read_text(errors="replace").splitlines() if self._log_path.exists() else []
        return f"{self.name} {what}. The end of {self._log_path}:\n" + ("\n".join(lines[-30:]) or "(the log is empty)")
