"""Somebody who follows a page to the letter."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from tests.docs.steps import Save, Type
from tests.docs.terminal import Terminal, TerminalError

SERVERS = ("python -m airflow_provider_segmind.emulator --port", "airflow standalone")
"""What goes on running in its terminal."""

# Generous, since the machine may be busy; nothing waits that long if all is well.
_COMMAND, _INSTALL, _START, _RUN = 120.0, 900.0, 240.0, 300.0
_GLANCE = 15.0
"""Seconds between two looks of a person; each look costs a process of Airflow its imports."""


class Reader:
    """
    Somebody who does what a page says, step by step.

    :param folder: where this person's terminals start.
    :param env: the environment of the terminals.
    :param substitute: replaces what is different here.
    """

    def __init__(self, folder: Path, env: Mapping[str, str], substitute: Callable[[str], str]) -> None:
        self.folder = folder
        self.terminals: dict[int, Terminal] = {}
        self._env = env
        self._substitute = substitute

    def follow(self, step: Save | Type) -> str:
        """Do a step, and return what it printed."""
        if isinstance(step, Save):
            path = self.folder / "swap-tutorial" / step.path
            path.write_text(self._substitute(step.text))
            return ""
        return self._type(
            replace(
                step,
                commands=tuple(map(self._substitute, step.commands)),
                seen=tuple(map(self._substitute, step.seen)),
            )
        )

    def _type(self, step: Type) -> str:
        if step.terminal not in self.terminals:
            self.terminals[step.terminal] = Terminal(f"terminal {step.terminal}", self.folder, self._env)
        terminal = self.terminals[step.terminal]
        *first, last = step.commands
        printed = "".join(terminal.run(command, _INSTALL if "pip" in command else _COMMAND) for command in first)
        if last.startswith(SERVERS):
            assert step.seen, f"The page does not say how one knows that {last!r} has started."
            terminal.wait_for(step.pattern, terminal.type(last), _START)
            return printed
        deadline = time.monotonic() + _RUN
        while True:
            answer = terminal.run(last, _INSTALL if "pip" in last else _COMMAND)
            if step.pattern.search(printed + answer):
                return printed + answer
            if not step.repeat or time.monotonic() > deadline:
                raise TerminalError(f"After {last!r} one should see {step.seen}, and sees:\n{printed + answer}")
            time.sleep(_GLANCE)

    def close(self) -> None:
        """End all that runs, and show what the terminals showed, for the case that the test failed."""
        for terminal in self.terminals.values():
            terminal.close()
            sys.stdout.write(f"===== {terminal.name}\n{terminal.tail(20_000)}\n")
        for log in sorted(self.folder.rglob("task_id=*/*.log")):
            sys.stdout.write(f"===== {log.relative_to(self.folder)}\n{log.read_text(errors='replace')[-3000:]}\n")
