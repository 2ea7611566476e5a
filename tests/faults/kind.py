"""Which Airflow is disturbed, and whether it has a memory of swaps."""

from __future__ import annotations

import os

from airflow_provider_segmind.compat import AIRFLOW_V_3_3_PLUS

WITH_MEMORY = bool(os.environ.get("MEMORY"))
"""Whether there is a memory of swaps."""
HAS_STORE = AIRFLOW_V_3_3_PLUS
"""Whether Airflow itself keeps the record of an order between attempts."""
