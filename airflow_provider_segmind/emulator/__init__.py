"""
A local, stateful Segmind to develop and test DAGs without a key and without a bill.

``python -m airflow_provider_segmind.emulator --help`` starts it from a shell; `Emulator` runs it inside a program.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_segmind.emulator.faults import Fault
    from airflow_provider_segmind.emulator.server import Emulator
    from airflow_provider_segmind.emulator.state import Charge

__all__ = ["Charge", "Emulator", "Fault"]

_HOMES = {"Charge": "state", "Emulator": "server", "Fault": "faults"}


def __getattr__(name: str) -> object:
    # Importing aiohttp takes a third of a second, so the import of the package must not need it.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
