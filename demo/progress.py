"""What a person sees while the pipeline runs."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

from demo.pipeline import STEPS, Passage, Run

_WORDS = {
    None: "waiting for a worker",
    "scheduled": "waiting for a worker",
    "queued": "waiting for a worker",
    "running": "running on a worker",
    "deferred": "deferred: in the triggerer, no worker held",
    "awaiting_input": "waits for a person, who is this demo",
    "success": "done",
    "failed": "FAILED",
    "up_for_retry": "failed, will be retried",
    "upstream_failed": "not run",
}
_OVER = ("success", "skipped")


def describe(passage: Passage) -> str:
    """
    Say in a few words where a photograph is.

    :returns: the step that it is at and the state of that, or that it is over.
    """
    if passage.over:
        rejected = next((step for step, state in passage.states.items() if state == "skipped"), "")
        return f"{rejected}: rejected, in quarantine" if rejected and passage.settled else "done"
    for step in STEPS:
        state = passage.states.get(step)
        if state not in _OVER:
            return f"{step}: {_WORDS.get(state, state)}"
    return "finishing"


class Progress:
    """
    Shows one line for each photograph: rewritten in place on a terminal, printed at every change elsewhere.

    :param stream: where to write.
    """

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._in_place = stream.isatty()
        self._shown: list[str] = []
        self._lines = 0
        self._began = time.monotonic()

    def __call__(self, run: Run) -> None:
        """Show the run as it is now."""
        states = [describe(passage) for passage in run.passages]
        passed = time.monotonic() - self._began
        if self._in_place:
            self._rewrite(run.passages, states)
            return
        for number, (state, passage) in enumerate(zip(states, run.passages, strict=True), start=1):
            if len(self._shown) < number or self._shown[number - 1] != state:
                print(f"  {passed:5.1f} s  {passage.photograph.title:16}  {state}", file=self._stream, flush=True)
        self._shown = states

    def _rewrite(self, passages: list[Passage], states: list[str]) -> None:
        width = max(len(passage.photograph.title) for passage in passages)
        # A line that the terminal wraps would be two lines, and the next rewrite would begin too low.
        columns = shutil.get_terminal_size().columns - 1
        up = f"\x1b[{self._lines}A" if self._lines else ""
        lines = [
            f"  {passage.photograph.title:{width}}  {passage.seconds:5.1f} s  {state}"
            for passage, state in zip(passages, states, strict=True)
        ]
        text = "".join(f"\x1b[2K{line[:columns]}\n" for line in lines)
        self._stream.write(up + text)
        self._stream.flush()
        self._lines = len(passages)
