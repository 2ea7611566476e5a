"""What must hold in every world: nobody pays twice, nothing paid for is unnamed, and every run ends in clear words."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_segmind.api.errors import OutcomeUnknownError, SegmindError
from airflow_provider_segmind.api.remembered import end_name, name_of
from airflow_provider_segmind.compat import AirflowFailException
from tests.simulation.service import Charge
from tests.simulation.storage import AirflowAwayError

if TYPE_CHECKING:
    from tests.simulation.tasks import Swapped
    from tests.simulation.world import World

SENDING = 400.0
"""Seconds for which another task may be sending what it claimed."""
_GAVE_UP = re.compile(r"Another task .* ended while it ordered workflow \S+ at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC")
_TOLD = "may have been accepted and billed"
"""What a task says of an order whose outcome nobody knows."""
_SHARED = "this one's own charge, if there is one, is not in the history yet"
"""What a task says that takes a request for its own, which can be another's."""
_REMEDY = re.compile(
    r"\b(look|clear|check|asked|ask|add|wait|retry|retries|again|delete|install|set|fetch|never|order)\b"
    r"|nothing was sent|FAILED",
    re.IGNORECASE,
)
"""A word that tells somebody what to do, or that nothing need be done."""


class Rules:
    """Watches one world, and notes what is wrong in it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.wrong: list[str] = []
        self.allowed = 0
        """Charges beyond the first of a swap that an author, a failed job or a lost one explains."""

    def charged(self, charge: Charge) -> None:
        """Judge a charge when it is made."""
        world, by = self._world, charge.by
        outage = world.disk.is_out(charge.at)
        if outage is not None and outage[0] <= by.began:
            self._say(f"{charge.request_id} was ordered while the memory was out of reach")
        if any(at <= by.began for at in world.damaged.get(charge.key, ())) and self._passes_damage(charge):
            self._say(f"{charge.request_id} was ordered although an object of its swap was damaged")
        earlier = [one for one in world.service.charges if one.key == charge.key and one is not charge]
        standing = [one for one in earlier if one.stands(charge.at)]
        by.charges += 1
        if standing and not self._may(charge, standing):
            names = ", ".join(one.request_id for one in standing)
            self._say(f"{charge.request_id} was paid for although {names} stands")
        self.allowed += bool(earlier)

    def _passes_damage(self, charge: Charge) -> bool:
        """Whether an object is damaged that leads to this order; one says which later order is the next to read."""
        number = 1
        while (name := name_of(charge.key, number)) != charge.by.claim:
            data = self._world.disk.objects.get(name)
            if data is None or data in self._world.garbage:
                return True
            newer = 0 if charge.by.swap.refresh else json.loads(data).get("newer", 0)
            number = max(number + 1, newer)
        return False

    def _may(self, charge: Charge, standing: list[Charge]) -> bool:
        by = charge.by
        if by.swap.resubmit and by.charges == 1 and by.asked:
            return True
        if by.swap.refresh and not any(one.by.swap is by.swap and one.by.series == by.series for one in standing):
            return True
        # A person cleared a task that had said that nobody knows the outcome.
        if all(self._is_given_up(one) or self._is_replaced(one) for one in standing):
            return True
        # It was claimed first, and sent so late that somebody else was allowed to order meanwhile. A refresh passes by
        # the orders of all others.
        standing = [one for one in standing if one.by.swap is by.swap] if by.swap.refresh else standing
        return all((one.by.swap.refresh or one.by.swap.resubmit) and by.claimed < one.at for one in standing)

    def written(self, name: str, data: bytes, before: bytes | None) -> None:
        """Judge what is written into the memory."""
        if not name.startswith("swaps/"):
            return
        said = json.loads(data)
        if before is None:
            self._world.running.claim, self._world.running.claimed = name, self._world.hub.now
        request_id = said["order"]["request_id"]
        was = json.loads(before)["state"] if before is not None and before not in self._world.garbage else None
        if was is None and before is not None:
            damaged = self._world.damaged[said["key"]]
            if self._world.running.began > damaged[-1]:
                self._say(f"{name} was damaged, and is overwritten")
            damaged.clear()  # by a task that had read it before
        kept = end_name(said["key"], said["number"]) in self._world.disk.objects
        if was == "done" and said["state"] not in ("done", "rejected") and not kept:
            self._say(f"{name} was done, and is {said['state']} now")
        charge = next((one for one in self._world.service.charges if one.request_id == request_id), None)
        if said["state"] == "rejected" and charge is not None:
            charge.gone = True
        if said["state"] != "done":
            return
        if charge is None or charge.key != said["key"] or charge.fails:
            self._say(f"{name} is done by {request_id}, which made no such picture")
            return
        charge.stored = True
        for output in said["outputs"]:
            if (
                not charge.gone
                and output["uri"]
                and output["uri"].removeprefix("s3://memory/") not in self._world.disk.objects
            ):
                self._say(f"{name} is done, and its picture is not stored")

    def ended(self, swap: Swapped, outcome: Any) -> None:
        """Judge how a run ended."""
        if isinstance(outcome, dict):
            charge = next((one for one in self._world.service.charges if one.request_id == outcome["request_id"]), None)
            if charge is None or charge.key != swap.key or charge.fails or not outcome["image_url"]:
                self._say(f"{swap.run_id} succeeded with {outcome}")
        elif outcome is None or isinstance(outcome, AirflowAwayError):
            return  # killed, and named by what it left; or Airflow's own error
        elif not isinstance(outcome, (SegmindError, AirflowFailException)) or not _REMEDY.search(str(outcome)):
            self._say(f"{swap.run_id} ended with {type(outcome).__name__}: {outcome}")
        elif (found := _GAVE_UP.search(str(outcome))) and f"run_id {swap.run_id}," not in found[0]:
            claimed = datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()
            if self._world.hub.now - claimed < SENDING - 5:
                self._say(f"{swap.run_id} gave up what another task was just sending")

    def finish(self) -> None:
        """Judge the world after a last healthy run of every swap."""
        world = self._world
        if not world.service.charges:
            return
        texts = [data.decode(errors="replace") for data in world.disk.objects.values()]
        texts += [json.dumps(swap.states.values) for swap in world.swaps if swap.states is not None]
        texts += [line for attempt in world.attempts for line in attempt.said]
        known = "\n".join(texts)
        for charge in world.service.charges:
            if charge.request_id not in known and charge.key not in world.damaged and not self._is_pending(charge):
                self._say(f"{charge.request_id} is paid for and named nowhere")
        for key, last in world.last.items():
            if not last.ends:
                self._say(f"the last run of {key[:6]} did not end")
            elif isinstance(last.ends[-1], dict) and key not in world.damaged:
                made = next(one for one in world.service.charges if one.request_id == last.ends[-1]["request_id"])
                if not made.stored:
                    self._say(f"{made.request_id} is not in the memory, although a healthy run took its picture")

    def _is_pending(self, charge: Charge) -> bool:
        """Whether the memory still says that an order of that time may have been accepted, as the last run said."""
        world = self._world
        outcome = (world.last[charge.key].ends or [None])[-1]
        unknown = isinstance(outcome, OutcomeUnknownError) or "OutcomeUnknownError" in str(outcome)
        told = unknown or any(one.refresh or one.resubmit for one in world.swaps)
        if any(_SHARED in line for line in charge.by.said):
            return True
        return self._is_given_up(charge) or (self._state(charge) == "claimed" and told)

    def _is_given_up(self, charge: Charge) -> bool:
        """Whether its task said that it may be paid for, and a person cleared that task nevertheless."""
        swap = charge.by.swap
        said = (
            line for one in self._world.attempts if one.swap is swap and one.series < swap.clears for line in one.said
        )
        return self._state(charge) == "lost" and any(_TOLD in line for line in said)

    def _is_replaced(self, charge: Charge) -> bool:
        """Whether a later order took its place: of its own task, as its author wanted, or of one that refreshed it."""
        by = charge.by.swap
        later = [one for one in self._world.service.charges if one.key == charge.key and one.at > charge.at]
        own = (by.refresh or by.resubmit) and any(one.by.swap is by for one in later)
        return own or any(one.by.swap.refresh and one.stored for one in later)

    def _state(self, charge: Charge) -> str:
        """Return what the memory says of the claim of an order whose request it does not know."""
        data = self._world.disk.objects.get(charge.by.claim)
        if data is None or data in self._world.garbage:
            return "unknown"
        said = json.loads(data)
        return "known" if said["order"]["request_id"] else str(said["state"])

    def _say(self, what: str) -> None:
        self.wrong.append(what)
