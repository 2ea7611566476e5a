"""One seed, one world: which tasks want which swaps, and what goes wrong when."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass
from typing import Any

from greenlet import getcurrent

from airflow_provider_segmind.api.remembered import name_of
from airflow_provider_segmind.triggers.segmind import PixelFlowTrigger
from tests.simulation.hub import BEGAN, EndlessError, Hub, Work
from tests.simulation.rules import Rules
from tests.simulation.service import Charge, Manner, Service
from tests.simulation.storage import KINDS, Disk, SimulatedStore
from tests.simulation.tasks import Attempt, Swapped


@dataclass(frozen=True)
class Chaos:
    """
    How much goes wrong, as likelihoods.

    :param kills: that a process dies at a step.
    :param airflow: that Airflow's API does not answer.
    :param twice: that two triggerers wait for one job.
    """

    kills: float
    airflow: float
    twice: float


@dataclass(frozen=True)
class Outcome:
    """What was seen of a world."""

    seed: int
    trace: str
    wrong: tuple[str, ...]
    swaps: int
    charges: int
    explained: int
    kills: int
    succeeded: int


class World:
    """
    Tasks, a memory and a Segmind.

    :param seed: decides everything.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        rng = self.rng = random.Random(seed)  # noqa: S311 - no secret
        self.hub = hub = Hub(rng, rng.choice((0.0, 0.0, 0.004, 0.02)))
        self.chaos = Chaos(rng.choice((0.0, 0.0, 0.003, 0.02)), rng.choice((0.0, 0.0, 0.01)), rng.choice((0.0, 0.4)))
        self.durable = rng.random() < 0.5
        self.disk = Disk(hub, rng.choice(KINDS), rng.choice((0.0, 0.0, 0.02, 0.15)))
        manner = Manner(
            lost=rng.choice((0.0, 0.1, 0.5)),
            refused=rng.choice((0.0, 0.2)),
            faulty=rng.choice((0.0, 0.0, 0.1)),
            fails=rng.choice((0.0, 0.0, 0.3)),
            history=rng.choice(("all", "all", "ended", "none")),
        )
        self.rules = Rules(self)
        self.service = Service(hub, manner, self._charged, lambda: getcurrent().of)  # type: ignore[attr-defined]
        self.disk.written = self.rules.written
        self.store = SimulatedStore(self.disk)
        self.uploads = 0
        self.garbage: set[bytes] = set()
        self.damaged: dict[str, list[float]] = {}
        self.attempts: list[Attempt] = []
        self.swaps: list[Swapped] = []
        self.last: dict[str, Swapped] = {}
        self.keys = [
            hashlib.sha256(b"%d/%d" % (seed, number)).hexdigest() for number in range(rng.choice((1, 1, 1, 2)))
        ]

    def run(self) -> Outcome:
        """Let it all happen, and then one healthy run of each swap."""
        random.seed(self.seed)  # the package's own jitter
        hub = self.hub
        try:
            self._plan()
            hub.run()
            hub.healed = True
            hub.now += 1000.0
            for number, key in enumerate(self.keys):
                swap = self.last[key] = self._swap(f"last{number}", key)
                hub.at(hub.now, swap.begin)
            hub.run()
            self.rules.finish()
        except EndlessError as error:
            self.rules.wrong.append(str(error))
        ends = [swap.ends[-1] for swap in self.swaps if swap.ends]
        return Outcome(
            self.seed,
            hashlib.blake2b("\n".join(hub.trace).encode(), digest_size=8).hexdigest(),
            tuple(self.rules.wrong),
            len(self.swaps),
            len(self.service.charges),
            self.rules.allowed,
            hub.kills,
            sum(isinstance(end, dict) for end in ends),
        )

    def _plan(self) -> None:
        rng, hub = self.rng, self.hub
        spread = rng.choice((0.3, 0.3, 60.0, 600.0, 7200.0))
        for number in range(rng.choice((1, 2, 3, 4, 6, 8, 12, 20, 40))):
            swap = self._swap(f"run{number}", rng.choice(self.keys), any_how=True)
            start = BEGAN + rng.random() * spread
            hub.at(start, swap.begin)
            if rng.random() < 0.15:
                hub.at(start + rng.random() ** 2 * 3000.0, swap.clear)
            if rng.random() < 0.1:
                hub.at(start + rng.random() ** 2 * 300.0, lambda swap=swap: self._presume_dead(swap))  # type: ignore[misc]
        for spans, likely, most in (
            (self.disk.outages, 0.15, 900.0),
            (self.service.outages, 0.15, 900.0),
            (self.service.amnesias, 0.15, 60.0),
        ):
            while rng.random() < likely:
                start = BEGAN + rng.random() * rng.choice((1.0, 100.0, 2000.0))
                spans.append((start, start + rng.random() * most))
        if rng.random() < 0.05:
            hub.at(BEGAN + rng.random() * 3000.0, self._damage)
        if rng.random() < 0.05:
            hub.at(BEGAN + rng.random() * 5000.0, self._delete)

    def _swap(self, name: str, key: str, *, any_how: bool = False) -> Swapped:
        rng = self.rng
        swap = Swapped(
            self,
            name,
            key,
            refresh=any_how and rng.random() < 0.06,
            resubmit=any_how and rng.random() < 0.08,
            uploads=any_how and rng.random() < 0.5,
            defers=rng.random() < 0.6,
        )
        self.swaps.append(swap)
        return swap

    # What happens by itself.

    def _charged(self, charge: Charge) -> None:
        self.rules.charged(charge)

    @property
    def running(self) -> Attempt:
        """The attempt that has its turn."""
        attempt: Attempt = getcurrent().of  # type: ignore[attr-defined]
        return attempt

    def ended(self, swap: Swapped, outcome: Any) -> None:
        """See how a run ended."""
        self.hub.trace.append(f"{swap.run_id} {type(outcome).__name__}")
        self.rules.ended(swap, outcome)

    def doom(self, work: Work, delay: float) -> None:
        """Have a process killed, at its next step from then on."""
        self.hub.at(self.hub.now + delay, lambda: setattr(work, "doomed", True))

    def _presume_dead(self, swap: Swapped) -> None:
        """The scheduler loses sight of a worker that lives, and begins another attempt."""
        if swap.attempt is None or swap.attempt.is_over or swap.tries > swap.max_tries:
            return
        for work in swap.live:
            if self.rng.random() < 0.7:
                self.doom(work, self.rng.choice((10.0, 100.0, 1000.0)))
        swap.begin()

    def _damage(self) -> None:
        names = sorted(name for name in self.disk.objects if name.startswith("swaps/"))
        if names:
            name = self.rng.choice(names)
            half = self.disk.objects[name][: self.rng.randrange(60)]
            self.garbage.add(half)
            self.disk.objects[name] = half
            self.damaged.setdefault(name.rpartition("/")[2].partition(".")[0], []).append(self.hub.now)

    def _delete(self) -> None:
        names = sorted(name for name in self.disk.objects if name.startswith("pictures/"))
        if names:
            name = self.rng.choice(names)
            del self.disk.objects[name]
            key, number = name.rpartition("/")[2].split(".")[:2]
            data = self.disk.objects[name_of(key, int(number))]
            if data not in self.garbage:
                request_id = json.loads(data)["order"]["request_id"]
                for charge in self.service.charges:
                    charge.gone = charge.gone or charge.request_id == request_id

    def wait_in_triggerer(self, kwargs: dict[str, Any]) -> Any:
        """Run the package's trigger to its event."""
        trigger = PixelFlowTrigger(**kwargs)
        events = trigger.run()
        try:
            events.__anext__().send(None)  # type: ignore[attr-defined]
        except StopIteration as end:
            return json.loads(json.dumps(end.value.payload))
        raise AssertionError("in this world nothing is waited for but by steps")
