"""What a person sees while swaps are under way."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TextIO

from demo.swaps import TASKS, Swap

_WORDS = {
    None: "waiting for a worker",
    "scheduled": "waiting for a worker",
    "queued": "waiting for a worker",
    "running": "running on a worker",
    "deferred": "deferred: in the triggerer, no worker held",
    "success": "done",
    "failed": "FAILED",
    "up_for_retry": "failed, will be retried",
    "upstream_failed": "not run",
}


def describe(swap: Swap) -> str:
    """
    Say in a few words where a swap is.

    :param swap: the swap.
    :returns: the task that it is at and the state of that task, or that it is over.
    """
    if swap.state == "success":
        return "done"
    for task_id in TASKS:
        state = swap.tasks.get(task_id)
        if state != "success":
            return f"{task_id}: {_WORDS.get(state, state)}"
    return "finishing"


class Progress:
    """
    Shows one line for each swap: rewritten in place on a terminal, printed at every change elsewhere.

    :param stream: where to write.
    """

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._in_place = stream.isatty()
        self._shown: list[str] = []
        self._lines = 0
        self._began = time.monotonic()

    def __call__(self, swaps: list[Swap]) -> None:
        """
        Show the swaps as they are now.

        :param swaps: all of them, in the same order each time.
        """
        states = [describe(swap) for swap in swaps]
        passed = time.monotonic() - self._began
        if self._in_place:
            self._rewrite(swaps, states)
            return
        for number, (state, swap) in enumerate(zip(states, swaps, strict=True), start=1):
            if len(self._shown) < number or self._shown[number - 1] != state:
                print(f"  {passed:5.1f} s  swap {number} ({swap.pair.title})  {state}", file=self._stream, flush=True)
        self._shown = states

    def _rewrite(self, swaps: list[Swap], states: list[str]) -> None:
        width = max(len(swap.pair.title) for swap in swaps)
        # A line that the terminal wraps would be two lines, and the next rewrite would begin too low.
        columns = shutil.get_terminal_size().columns - 1
        up = f"\x1b[{self._lines}A" if self._lines else ""
        lines = [
            f"  {number}  {swap.pair.title:{width}}  {swap.seconds:5.1f} s  {state}"
            for number, (swap, state) in enumerate(zip(swaps, states, strict=True), start=1)
        ]
        text = "".join(f"\x1b[2K{line[:columns]}\n" for line in lines)
        self._stream.write(up + text)
        self._stream.flush()
        self._lines = len(swaps)
