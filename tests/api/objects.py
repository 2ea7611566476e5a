"""A storage in memory, which does what steps of the memory ask for: one after the other, or many in any order."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

from airflow_provider_segmind.api.flow import Pause
from airflow_provider_segmind.api.memory import Create, Read, Replace, Size, Steps


class Objects(dict[str, bytes]):
    """
    Objects by name, and what was asked for.

    :param lose_answers: whether a created object is said to have been there.
    """

    def __init__(self, data: dict[str, bytes] | None = None, *, lose_answers: bool = False) -> None:
        super().__init__(data or {})
        self.lose_answers = lose_answers
        self.asked: list[Any] = []
        self.sizes: dict[str, int] = {}
        """Sizes of stored pictures, by URI."""
        self.now = 1000.0
        self.meanwhile: list[Callable[[], Any]] = []
        """What happens after each of the next steps that wait or write."""

    def do(self, step: Any) -> Any:
        """Do one step."""
        self.asked.append(step)
        match step:
            case Read(name):
                return self.get(name)
            case Size(uri):
                return self.sizes.get(uri)
            case Create(name, data):
                is_new = name not in self
                self.setdefault(name, data)
                return is_new and not self.lose_answers
            case Replace(name, data):
                self[name] = data
                return None
            case Pause(seconds):
                self.now += seconds
                return None
        raise AssertionError(step)

    def run(self, steps: Steps[Any], *, crash: int | None = None) -> Any:
        """Run steps to their end, or until a crash right after so many of them."""
        answer: Any = None
        done = 0
        try:
            while done != crash:
                step = steps.send(answer)
                answer = self.do(step)
                done += 1
                if not isinstance(step, Read | Size) and self.meanwhile:
                    self.meanwhile.pop(0)()
        except StopIteration as end:
            return end.value
        steps.close()
        return None

    def interleave(self, tasks: Iterable[Steps[Any]], seed: int) -> list[Any]:
        """Run many at once, one step of a random one after the other; return what each returned or raised."""
        chance = random.Random(seed)  # noqa: S311 - to be repeatable
        waiting: dict[int, tuple[Steps[Any], Any]] = {number: (task, None) for number, task in enumerate(tasks)}
        ended: dict[int, Any] = {}
        while waiting:
            number = chance.choice(sorted(waiting))
            task, answer = waiting[number]
            try:
                waiting[number] = (task, self.do(task.send(answer)))
            except StopIteration as end:
                ended[number] = end.value
                del waiting[number]
            except Exception as error:  # noqa: BLE001 - it is what this one does
                ended[number] = error
                del waiting[number]
        return [ended[number] for number in sorted(ended)]
