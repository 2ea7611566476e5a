"""A terminal with a shell in it, in which a test types what a person would type."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import psutil

# As a new terminal has it; a program that looks at the width is to meet a usual one.
_SIZE = (24, 80)
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\x1b[()][A-Z0-9]|\r")
_DONE = re.compile(r"^typed \d+ ended with (\d+)$", re.MULTILINE)
_GRACE = 60.0

T = TypeVar("T")


class TerminalError(AssertionError):
    """What was typed did not do what it should; the message shows the end of what the terminal shows."""


class Terminal:
    """
    An interactive bash on a terminal of its own, so that Ctrl-C does what it does for a person.

    :param name: what to call it in messages.
    :param folder: where it starts.
    :param env: its complete environment.
    """

    def __init__(self, name: str, folder: Path, env: Mapping[str, str]) -> None:
        self.name = name
        self._text = ""
        self._typed = 0
        self._master, self._slave = pty.openpty()
        termios.tcsetwinsize(self._slave, _SIZE)
        modes = termios.tcgetattr(self._slave)
        modes[3] &= ~termios.ECHO  # what is typed must not be taken for what is answered
        termios.tcsetattr(self._slave, termios.TCSANOW, modes)
        # A session's leader gets the terminal that it opens as its own, and with it Ctrl-C.
        shell = 'exec bash --noprofile --norc --noediting -i <>"$0" >&0 2>&1'
        self._shell = subprocess.Popen(
            ["sh", "-c", shell, os.ttyname(self._slave)],
            cwd=folder,
            env={**env, "TERM": "xterm", "PS1": "", "PS2": "", "HISTFILE": ""},
            start_new_session=True,
        )
        self._closing = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        data = b""
        # A read that waits would keep the terminal open, however often it is closed elsewhere.
        while not self._closing.is_set():
            if not select.select([self._master], [], [], 0.1)[0]:
                continue
            data += os.read(self._master, 65536)
            # Escape sequences and letters may arrive in halves, so only whole lines are looked at.
            whole, _, data = data.rpartition(b"\n")
            if whole:
                self._text += _ESCAPES.sub("", whole.decode(errors="replace")) + "\n"

    def type(self, line: str) -> int:
        """
        Type a line and press Enter.

        :returns: where in the terminal's text its output begins, for :meth:`since`.
        """
        start = len(self._text)
        os.write(self._master, f"{line}\n".encode())
        return start

    def run(self, line: str, timeout: float) -> str:
        """
        Type a command and wait until it has ended well.

        :param line: the command.
        :param timeout: seconds.
        :returns: what it printed.
        :raises TerminalError: it failed, or has not ended in time.
        """
        start = self.type(line)
        self._typed += 1
        self.type(f"printf '\\ntyped %d ended with %d\\n' {self._typed} $?")
        done = self._wait(lambda: _DONE.search(self._text, start), line, timeout)
        printed = self._text[start : done.start()]
        if done[1] != "0":
            raise TerminalError(f"{self.name}: {line!r} ended with exit code {done[1]}:\n{printed[-4000:]}")
        return printed

    def wait_for(self, pattern: re.Pattern[str], start: int, timeout: float) -> None:
        """
        Wait until something is shown.

        :param pattern: what.
        :param start: where in the terminal's text to look.
        :param timeout: seconds.
        :raises TerminalError: it is not shown in time, or the shell has ended.
        """
        self._wait(lambda: pattern.search(self._text, start), pattern.pattern, timeout)

    def press_ctrl_c(self, patience: float) -> bool:
        """
        Press Ctrl-C and wait until the program in front has ended.

        :param patience: seconds.
        :returns: whether it has ended.
        """
        os.write(self._master, b"\x03")
        return self._come_to([self._shell.pid], patience)

    def close_window(self, timeout: float) -> None:
        """
        Close the terminal's window; what runs in it is told that its terminal is gone.

        :param timeout: seconds.
        :raises TerminalError: something runs on.
        """
        self._hang_up()
        if not self._come_to([], timeout):
            raise TerminalError(f"{self.name}: its window is closed, but {self.pids} run on:\n{self.tail()}")

    def _hang_up(self) -> None:
        if not self._closing.is_set():
            self._closing.set()
            self._reader.join()
            os.close(self._slave)
            os.close(self._master)

    def _come_to(self, pids: list[int], timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while self.pids != pids:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.1)
        return True

    def _wait(self, look: Callable[[], T | None], what: str, timeout: float) -> T:
        deadline = time.monotonic() + timeout
        while True:
            ended = self._shell.poll() is not None
            found = look()
            if found is not None:
                return found
            if ended or time.monotonic() > deadline:
                why = "the shell has ended" if ended else f"not within {timeout:.0f} s"
                raise TerminalError(f"{self.name}: {what!r}: {why}. The end of what it shows:\n{self.tail()}")
            time.sleep(0.1)

    def tail(self, characters: int = 6000) -> str:
        """Return the end of what the terminal shows."""
        return self._text[-characters:]

    @property
    def pids(self) -> list[int]:
        """Ids of all live processes of the terminal: the shell, what it runs, what that started."""
        return [pid for pid in psutil.pids() if self._owns(pid)]

    def _owns(self, pid: int) -> bool:
        with contextlib.suppress(psutil.Error, OSError):
            return os.getsid(pid) == self._shell.pid and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        return False

    def close(self) -> None:
        """End everything that runs in the terminal, whatever happened before."""
        deadline = time.monotonic() + _GRACE
        while (left := self.pids) and time.monotonic() < deadline:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        self._shell.wait(timeout=_GRACE)
        self._hang_up()
