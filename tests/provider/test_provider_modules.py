"""How many of our files a swap enters: what a person has to read who follows one."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import airflow_provider_segmind
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.operators.body_swap import SubmitBodySwapOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from airflow_provider_segmind.tasks import batch, order, wait
from tests.provider.batches import Batch, swaps
from tests.provider.running import run

IMPORTED = (batch, order, wait)
"""What a task would import while it is watched."""
HOME = Path(airflow_provider_segmind.__file__).parent


@contextmanager
def files_entered() -> Iterator[set[str]]:
    """Yield the files of the package, without the emulator, in which a function is called meanwhile."""
    entered: set[str] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        path = Path(frame.f_code.co_filename)
        called = event == "call" and frame.f_code.co_name != "<module>" and HOME in path.parents
        if called and "emulator" not in path.relative_to(HOME).parts:
            entered.add(str(path.relative_to(HOME)))

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield entered
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]


def test_a_swap_and_its_sensor_enter_few_files(emulator: Emulator) -> None:
    with files_entered() as entered:
        pictures = {name: emulator.sample(kind) for name, kind in PICTURES.items()}
        handle = run(SubmitBodySwapOperator(task_id="submit", **pictures))
        run(BodySwapSensor(task_id="wait", poll_url=handle["poll_url"], poke_interval=0.05))
    assert len(entered) <= 36, sorted(entered)


def test_a_batch_enters_few_files(emulator: Emulator, tmp_path: Path) -> None:
    with files_entered() as entered:
        emulator.set(job_seconds=1)  # so that a triggerer waits, too
        Batch(emulator, tmp_path, swaps=swaps(emulator, 2)).attempt()
    assert len(entered) <= 55, sorted(entered)


PICTURES = {"character_image": "scene", "reference_character_image": "person"}
