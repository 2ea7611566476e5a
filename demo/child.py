"""One program started in a session of its own, so that nothing it starts can outlive it unnoticed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from demo.interrupts import deferred

GRACE = 10.0


class ChildDiedError(RuntimeError):
    """A program that should be running has ended, or never came up; the message shows the end of its log."""


class Child:
    """
    A program, its log file, and every process that descends from it.

    :param name: what to call it in messages.
    :param command: the command line; it must hold no secret, since every user of the machine can read it.
    :param env: its complete environment.
    :param log_path: file that receives its output; a restart appends.
    :param cwd: the folder that it runs in; this process's if not given.
    """

    def __init__(
        self, name: str, command: Sequence[str], env: Mapping[str, str], log_path: Path, cwd: Path | None = None
    ) -> None:
        self.name = name
        self.command = tuple(command)
        self.env = dict(env)
        self.log_path = log_path
        self.cwd = cwd
        self.started_at = 0.0
        """Seconds since the epoch of the latest start."""
        self.expected_dead = False
        """Whether it was killed or stopped on purpose."""
        self._process: subprocess.Popen[bytes] | None = None
        # session id -> when it began; a killed and restarted program may have left processes in the first one
        self._sessions: dict[int, float] = {}

    def __repr__(self) -> str:
        return f"<{self.name} {'alive' if self.is_alive else 'dead'} pids={self.pids}>"

    def start(self) -> None:
        """
        Start the program.

        :raises OSError: it cannot be executed.
        """
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log, deferred():
            self.started_at = time.time()
            self._process = subprocess.Popen(
                self.command,
                cwd=self.cwd,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._sessions[self._process.pid] = self.started_at
            self.expected_dead = False

    @property
    def is_alive(self) -> bool:
        """Whether the program itself is running."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """Process id of the program itself, also after its end; ``None`` before the first start."""
        return self._process.pid if self._process else None

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal; ``None`` while it runs."""
        return self._process.poll() if self._process else None

    @property
    def pids(self) -> list[int]:
        """
        Ids of all live processes of its sessions: the program, its workers, their tasks.

        Process groups are not enough: Airflow gives task processes groups of their own. They stay in the
        session, though, even when the program that started them is dead.
        """
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
        """
        Send a signal and do not expect the program to be there afterwards.

        :param sig: the signal, SIGKILL if not given.
        :param everything: send it to all processes of the session, as when a machine or container goes;
            otherwise to the program itself only, as when it alone crashes.
        """
        self.expected_dead = True
        targets = self.pids if everything else [self.pid] if self.is_alive and self.pid else []
        for pid in targets:
            try:
                os.kill(pid, sig)
            except ProcessLookupError:
                continue
        if sig == signal.SIGKILL and self._process is not None:
            self._process.wait(timeout=GRACE)

    def restart(self) -> None:
        """Start the program again, killing it first if it is running; processes it left behind go on."""
        if self.is_alive:
            self.kill(everything=False)
        self.start()

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the program itself, without waiting."""
        self.expected_dead = True
        if self._process is not None and self.is_alive:
            self._process.terminate()

    def stop(self, grace: float = GRACE) -> None:
        """
        End the program and everything it started.

        :param grace: seconds that the program gets to end by itself; what is left then is killed.
        :raises ChildDiedError: a process survived even SIGKILL for ten seconds.
        """
        self.ask_to_stop()
        deadline = time.monotonic() + grace
        while self.is_alive and time.monotonic() < deadline:
            time.sleep(0.05)
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
        """
        Wait until the program has ended well.

        :param timeout: seconds.
        :raises ChildDiedError: it ended with an error, or not in time.
        """
        deadline = time.monotonic() + timeout
        while self.is_alive:
            if time.monotonic() > deadline:
                raise ChildDiedError(self.describe(f"did not end within {timeout:.0f} s"))
            time.sleep(0.05)
        if self.returncode:
            raise ChildDiedError(self.describe(f"ended with exit code {self.returncode}"))

    def wait_until_ready(self, ready: Callable[[], bool], timeout: float) -> None:
        """
        Wait until the program does what it was started for.

        :param ready: whether it does; asked ten times a second.
        :param timeout: seconds.
        :raises ChildDiedError: it ended, or does not in time.
        """
        deadline = time.monotonic() + timeout
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise ChildDiedError(self.describe(f"was not ready within {timeout:.0f} s"))
            time.sleep(0.1)

    def check(self) -> None:
        """
        Make sure that the program is running, unless it was killed or stopped on purpose.

        :raises ChildDiedError: it is not.
        """
        if self._process is not None and not self.is_alive and not self.expected_dead:
            raise ChildDiedError(self.describe(f"died with exit code {self.returncode}"))

    def log_tail(self, lines: int = 30) -> str:
        """
        Return the end of the log.

        :param lines: how many lines at most.
        :returns: the lines, or an empty string when there is no log yet.
        """
        if not self.log_path.exists():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    def describe(self, what: str) -> str:
        """
        Say what happened to the program, with the end of its log.

        :param what: the rest of the sentence that begins with the program's name.
        :returns: several lines.
        """
        tail = self.log_tail() or "(the log is empty)"
        return f"{self.name} {what}. The end of {self.log_path}:\n{tail}"
