"""Airflow around a task: attempts, retries, clears, a second worker by mistake, and triggerers that die."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow_provider_segmind.compat import AirflowFailException, TaskDeferred
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.operators.body_swap import BodySwapOperator
from airflow_provider_segmind.tasks.swap import SwapRun
from tests.simulation.hub import Work
from tests.simulation.storage import AirflowAwayError, TaskStates

if TYPE_CHECKING:
    from tests.simulation.world import World


class Swap(BodySwapOperator):
    """The package's own operator."""

    swap: Swapped
    log = logging.getLogger("airflow_provider_segmind.task")

    def run_of(self, context: Any) -> SwapRun:
        """Return what does this task's work."""
        return Run(self, context)


class Run(SwapRun):
    """The package's own work on a task; only its pictures are a word rather than files."""

    def key(self, hook: SegmindHook) -> str:
        """Return the key of this swap in the memory, after reading its pictures."""
        self.task.swap.world.hub.step("pictures")
        key: str = self.task.swap.key
        return key

    def inputs(self, hook: SegmindHook) -> Mapping[str, Any]:
        """Return the inputs, with a picture that was uploaded for this order, if so."""
        swap = self.task.swap
        swap.world.hub.step("upload")
        given: Mapping[str, Any] = self.task.given_inputs()
        if not swap.uploads:
            return given
        swap.world.uploads += 1
        return {**given, "character_image": f"https://images.segmind.com/{swap.world.uploads}.png#{swap.key}"}


_EXECUTE: Any = BodySwapOperator.execute.__wrapped__  # type: ignore[attr-defined]
"""Without Airflow's warning for whoever calls it outside of a task."""
PLAIN = Swap(
    task_id="swap",
    character_image="https://pictures.example.com/scene.png",
    reference_character_image="https://pictures.example.com/person.png",
)


def _like(operator: Swap, **fields: Any) -> Swap:
    """Return a copy of an operator with other fields; Airflow's own way of copying takes ten times as long."""
    other = Swap.__new__(Swap)
    other.__dict__.update(operator.__dict__, **fields)
    return other


class Attempt:
    """One attempt of a task, or its wait in a triggerer, in a process."""

    def __init__(self, swap: Swapped, number: int, series: int) -> None:
        self.swap = swap
        self.number = number
        self.series = series
        """How often the task was cleared before."""
        self.began = swap.world.hub.now
        self.said: list[str] = []
        """What is in its log."""
        self.charges = 0
        self.asked = False
        """Whether it has asked the request history."""
        self.claim, self.claimed = "", 0.0
        """The name of the object that it claimed last, and when."""
        self.is_over = False
        swap.world.attempts.append(self)


class Swapped:
    """
    One task instance that wants a swap.

    :param key: the swap's key in the memory.
    :param refresh: whether its author wants a new picture.
    :param resubmit: whether its author has unknown orders sent again.
    :param uploads: whether its pictures are uploaded, and so belong to one order alone.
    """

    dag_id, task_id, map_index = "dag", "swap", -1

    def __init__(
        self, world: World, name: str, key: str, *, refresh: bool, resubmit: bool, uploads: bool, defers: bool
    ) -> None:
        self.world = world
        self.run_id = name
        self.key = key
        self.refresh = refresh
        self.resubmit = resubmit
        self.uploads = uploads
        self.retries = self.max_tries = world.rng.choice((0, 1, 2, 3))
        self.tries = self.clears = 0
        self.states = TaskStates(world.hub, world.chaos.airflow) if world.durable else None
        self.xcoms: dict[str, Any] = {}
        self.live: list[Work] = []
        self.attempt: Attempt | None = None
        self.ends: list[Any] = []
        """Results and exceptions in which attempts ended; ``None`` for one that was killed."""
        self.task = SimpleNamespace(retries=self.retries)
        fields = {
            "swap": self,
            "character_image": f"https://pictures.example.com/scene.png#{key}",
            "deferrable": defers,
            "poll_interval": world.rng.choice((20.0, 90.0)),
            "timeout": world.rng.choice((600.0, 3600.0)),
            "on_unknown_outcome": "resubmit" if resubmit else "fail",
            "reuse": "refresh" if refresh else "auto",
        }
        self.operator = _like(PLAIN, **fields)

    # What Airflow runs.

    def begin(self) -> None:
        """Begin an attempt on a worker."""
        self.tries += 1
        self.xcoms = {}
        attempt = self.attempt = Attempt(self, self.tries, self.clears)
        self._start(f"{self.run_id}.{self.tries}", attempt, lambda: self._execute(attempt))

    def clear(self) -> None:
        """Clear the task as a person does; a worker that runs it is killed soon, or not soon enough."""
        world = self.world
        self.clears += 1
        self.max_tries = self.tries + self.retries
        self.task.retries = self.retries
        for work in self.live:
            world.doom(work, world.rng.choice((0.0, 5.0, 30.0, 600.0)))
        self.attempt = None
        world.hub.at(world.hub.now + world.rng.choice((0.0, 5.0, 60.0)), self.begin)

    @property
    def is_running(self) -> bool:
        """Whether an attempt is under way."""
        return bool(self.live)

    def _start(self, name: str, attempt: Attempt, body: Any) -> None:
        work = Work(
            name, lambda: self._run(work, attempt, body), 0.0 if self.world.hub.healed else self.world.chaos.kills
        )
        work.of = attempt
        self.live.append(work)
        self.world.hub.start(work)

    def _run(self, work: Work, attempt: Attempt, body: Any) -> None:
        try:
            body()
        except TaskDeferred as deferred:
            self._defer(attempt, deferred)
        except Exception as error:  # noqa: BLE001 - Airflow catches all
            self._over(attempt, error)
        except BaseException:  # noqa: BLE001 - killed
            self.live.remove(work)
            self._killed(work, attempt, body)
            return
        self.live.remove(work)

    def _execute(self, attempt: Attempt) -> None:
        operator = _like(self.operator, _attempt=attempt)
        self._over(attempt, _EXECUTE(operator, self.context(attempt)))

    def _defer(self, attempt: Attempt, deferred: TaskDeferred) -> None:
        _, kwargs = deferred.trigger.serialize()
        said = json.dumps(kwargs)
        for number in range(2 if self.world.rng.random() < self.world.chaos.twice else 1):
            self._trigger(attempt, said, number)

    def _trigger(self, attempt: Attempt, said: str, number: int) -> None:
        def wait() -> None:
            event = self.world.wait_in_triggerer(json.loads(said))
            if attempt.is_over or self.attempt is not attempt:
                return  # the other triggerer was faster, or the task was cleared
            attempt.is_over = True
            again = self.attempt = Attempt(self, attempt.number, attempt.series)
            again.said = attempt.said
            self._start(f"{self.run_id}.{attempt.number}r", again, lambda: self._resume(again, event))

        self._start(f"{self.run_id}.{attempt.number}t{number}", attempt, wait)

    def _resume(self, attempt: Attempt, event: Any) -> None:
        operator = _like(self.operator)
        result = operator.resume_execution("execute_complete", {"event": event}, self.context(attempt))
        self._over(attempt, result)

    def _killed(self, work: Work, attempt: Attempt, body: Any) -> None:
        if self.attempt is not attempt or attempt.is_over:
            return
        if "t" in work.name.rpartition(".")[2]:  # another triggerer takes over
            self._start(work.name, attempt, body)
            return
        self._over(attempt, None)

    def _over(self, attempt: Attempt, outcome: Any) -> None:
        """End an attempt, and retry the task if Airflow would."""
        world = self.world
        if isinstance(outcome, BaseException):
            attempt.said.append(f"{type(outcome).__name__}: {outcome}")
        if self.attempt is not attempt or attempt.is_over:
            return  # another attempt has replaced it
        attempt.is_over = True
        for_good = isinstance(outcome, AirflowFailException)
        failed = outcome is None or isinstance(outcome, BaseException)
        if failed and not for_good and self.tries <= self.max_tries:
            world.hub.at(world.hub.now + world.rng.choice((1.0, 60.0, 300.0)), self.begin)
            return
        self.ends.append(outcome)
        world.ended(self, outcome)

    # What a task needs of its context.

    def context(self, attempt: Attempt) -> Any:
        """Return the context of an attempt."""
        kept = {} if self.states is None else {"task_state_store": self.states}
        clears = SimpleNamespace(clear_number=attempt.series)
        ti = TaskInstance(self, attempt)
        return {"ti": ti, "dag_run": clears, **kept}


class TaskInstance:
    """A task instance as one attempt sees it."""

    dag_id, task_id, map_index = "dag", "swap", -1

    def __init__(self, swap: Swapped, attempt: Attempt) -> None:
        self._swap = swap
        self._attempt = attempt
        self.run_id = swap.run_id
        self.max_tries = swap.max_tries
        self.try_number = attempt.number
        self.task = swap.task

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep an XCom."""
        self._ask(f"push {key}")
        self._swap.xcoms[key] = value

    def xcom_pull(self, *, task_ids: str, key: str, map_indexes: int) -> Any:
        """Return an XCom of the task itself."""
        return self._swap.xcoms.get(key)

    def get_task_states(self, **_: Any) -> Any:
        """Return the state of this task."""
        self._ask("state")
        state = "running" if self._swap.attempt is not None and not self._swap.attempt.is_over else "up_for_retry"
        return {self.run_id: {self.task_id: state}}

    def _ask(self, what: str) -> None:
        world = self._swap.world
        world.hub.step(what)
        if not world.hub.healed and world.chaos.airflow and world.rng.random() < world.chaos.airflow:
            raise AirflowAwayError("Airflow's API does not answer.")
