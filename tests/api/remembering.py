"""Swaps in a memory: a storage on which a task settles, claims, orders and ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airflow_provider_segmind.api import ends, memory, remembered
from airflow_provider_segmind.api.memory import Found, Reuse
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.remembered import DONE, Stored, SwapRecord
from tests.api.objects import Objects

KEY = remembered.swap_key("https://s", "w-v1", {"select_character": "woman"}, {"character_image": "1" * 64})
A: Mapping[str, Any] = {"dag_id": "d", "run_id": "a", "task_id": "t", "map_index": -1}
B: Mapping[str, Any] = {**A, "run_id": "b"}
PICTURE = Stored("image", "image", "https://x.example/1.png", "/m/1.png", "2" * 64, 100)


class Swaps(Objects):
    """The memory of one swap."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes = {PICTURE.uri: PICTURE.size}

    def settle(self, owner: Mapping[str, Any] = B, how: Reuse | None = None, *, wait: bool = True) -> Found:
        found: Found = self.run(memory.settle(KEY, owner, how or Reuse(), lambda: self.now, wait=wait))
        return found

    def ordered(self, owner: Mapping[str, Any] = A, request_id: str = "r1") -> SwapRecord:
        """Claim and order as a task does."""
        found = self.settle(owner, Reuse(refresh=True))
        record = claim_of(found, owner, self.now)
        assert self.run(memory.claim(record, found.before))
        order = replace(record.order, request_id=request_id, poll_url=f"https://s.example/{request_id}")
        self.run(memory.accepted(record.name, owner, order))
        return self.record(record.name)

    def done(self, request_id: str = "r1", **changes: Any) -> None:
        self.ordered(request_id=request_id)
        self.run(ends.ended(request_id, DONE, self.now, **{"outputs": (PICTURE,), **changes}))

    def record(self, name: str) -> SwapRecord:
        return remembered.read_swap(self[name], name)

    def states(self) -> list[str]:
        return [json.loads(data)["state"] for name, data in sorted(self.items()) if name.startswith("swaps/")]


def claim_of(found: Found, owner: Mapping[str, Any], now: float) -> SwapRecord:
    key, number = found.name.rpartition("/")[2].split(".")[:2]
    return SwapRecord(key, int(number), OrderRecord(now, claim=found.name), owner=owner, cost=0.25)
