"""Who accepts a second bill for an order of unknown outcome still has the request history asked first."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_segmind.api import memory as api_memory
from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.batch import settling
from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.emulator import Emulator, Fault
from tests.provider.batches import InRun, at_once, swaps
from tests.provider.remembering import in_run, memory, swap

__all__ = ["at_once", "memory"]


@pytest.fixture
def unknown(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Accept an order of a first run, whose answer is lost while the history is away."""
    monkeypatch.setattr(api_memory, "SENDING", 0.0)
    emulator.script(Fault("drop-after"), Fault("500", on="history", times=None))
    with pytest.raises((SegmindError, AirflowFailException)):
        in_run(swap(emulator, on_unknown_outcome="resubmit"), "a", max_tries=1)
    emulator.clear_faults()


@pytest.mark.parametrize(
    "attempt",
    [
        {"run_id": "a", "max_tries": 1, "try_number": 2},
        {"run_id": "a", "max_tries": 3, "try_number": 3},
        {"run_id": "b"},
    ],
    ids=["a retry", "a clear", "another run"],
)
@pytest.mark.usefixtures("unknown")
def test_an_order_that_the_history_has_is_not_sent_again(
    emulator: Emulator, attempt: dict[str, int], memory: Path
) -> None:
    made = in_run(swap(emulator, on_unknown_outcome="resubmit"), **attempt)  # type: ignore[arg-type]
    assert made["request_id"] == emulator.charges[0].request_id
    assert len(emulator.charges) == 1


@pytest.mark.parametrize("run_id", ["a", "b"], ids=["a clear", "another run"])
def test_a_batch_does_not_send_again_what_the_history_has(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_id: str
) -> None:
    monkeypatch.setattr(api_memory, "SENDING", 0.0)
    monkeypatch.setattr(settling, "OUTAGE", 0.0)
    how = {"swaps": swaps(emulator, 2), "on_unknown_outcome": "resubmit", "retries": 0}
    first = InRun(emulator, tmp_path, "a", **how)
    emulator.script(Fault("drop-after", times=2), Fault("500", on="history", times=None))
    with pytest.raises((SegmindError, AirflowFailException)):
        first.attempt()
    emulator.clear_faults()
    first.max_tries += 1
    again = first if run_id == "a" else InRun(emulator, tmp_path, "b", **how)
    assert again.attempt()["completed"] == 2
    assert len(emulator.charges) == 2
