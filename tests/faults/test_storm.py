"""Two hundred swaps, and everything that can go wrong does, at random points."""

from __future__ import annotations

import os
import time

from tests.faults.storm import Storm, reckon
from tests.faults.table import Table
from tests.faults.world import World

SEED = int(os.environ.get("SEED") or 20260)
SWAPS = int(os.environ.get("SWAPS") or 200)
LOST_BY_AIRFLOW = "SELECT count(*) AS n FROM log WHERE event = 'state mismatch' AND run_id = ? AND extra LIKE ?"


def test_in_a_storm_each_order_is_charged_once_and_each_paid_job_is_delivered_or_named(
    world: World, table: Table
) -> None:
    print(f"\nSEED={SEED} SWAPS={SWAPS}")  # noqa: T201
    world.make_whole()
    began = time.monotonic()
    with world.case() as case:
        case.emulator.set(job_seconds=(2.0, 8.0), latency=0.1)
        case.order("swap_many", list(range(SWAPS)))
        storm = Storm(case, SEED, SWAPS)
        storm.rage(1800)  # on a busy machine, too
        seen = reckon(case)
        lost = world.airflow.metadata(LOST_BY_AIRFLOW, case.run_id, "%state attribute is queued%")[0]["n"]
        faults = "; ".join(f"{count} x {name}" for name, count in sorted(storm.happened.items()))
        failures = "; ".join(f"{count} x {name}" for name, count in seen.failures.items())
        text = (
            f"{SWAPS} swaps, mapped, with {storm.happened.total()} faults at random points (seed {SEED}): "
            f"{sum(seen.orders.values())} charges for {len(seen.orders)} different orders; "
            f"{len(seen.delivered)} results delivered, {len(seen.named)} more paid jobs named in their tasks' logs, "
            f"{len(seen.lost)} lost. {SWAPS - len(seen.delivered)} tasks failed ({failures or 'none'}). "
            f"Airflow itself lost {lost} resumes, each at the price of a retry. The faults: {faults}."
        )
        print(f"\n{time.monotonic() - began:.0f} s\n{text}\nrevived: {world.revived}")  # noqa: T201
        twice = {order: count for order, count in seen.orders.items() if count > 1}
        assert not twice, f"charged more than once: {twice}"
        assert not seen.lost, f"paid for, made, and named nowhere: {seen.lost}"
        assert not seen.unexplained, [case.error(map_index=index) for index in seen.unexplained]
        assert len(seen.delivered) + len(seen.named) == sum(seen.orders.values())
        table.storm = text
