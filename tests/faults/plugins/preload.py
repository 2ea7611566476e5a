"""
Makes the scheduler import once what each of its forked workers would otherwise import for every task.

Two hundred tasks and their retries on two processors would spend most of their time on that. And a lost order is looked
for in the request history for some ten seconds instead of minutes, since the emulator's shows it at once. And the claim
of a worker that died is waited for half a minute instead of seven, since nobody here waits five minutes after a 429.
"""

from __future__ import annotations

import aiohttp  # noqa: F401
import jsonschema  # noqa: F401

import airflow_provider_segmind.tasks.batch
import airflow_provider_segmind.tasks.swap
import airflow_provider_segmind.tasks.wait  # noqa: F401
from airflow_provider_segmind.api import history, memory

history.SETTLED = -25.0
history.USUAL = 1.0
memory.SENDING = 30.0
