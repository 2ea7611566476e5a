"""
Shorter patience, and faster starts, for an Airflow whose Segmind is the emulator.

The package's constants say how late the real service may be: a job takes half a minute, an order may appear in the
history a minute later. The emulator is not late, so waiting that long would test nothing. The processes of tasks are
forked from one that has imported the provider, as docs/scaling.md advises.

Only processes of an Airflow that runs for tests import this, never the tests themselves.
"""

from __future__ import annotations

import airflow_provider_segmind.tasks.batch
import airflow_provider_segmind.tasks.check
import airflow_provider_segmind.tasks.store
import airflow_provider_segmind.tasks.swap
import airflow_provider_segmind.tasks.wait  # noqa: F401
from airflow_provider_segmind.api import clocks, history, patience, schedule

__all__: list[str] = []  # Airflow takes the public names of its local settings into its own

clocks.UNKNOWN = 0.0  # all processes have the same clock
patience.GONE_AFTER = 15.0
schedule.PRIOR = 4.0
schedule.LONGEST_PAUSE = schedule.RECOVERY = 4.0
history.SETTLED = -27.0  # six seconds after the last moment in which an order can be accepted
history.SLOW = 3.0
