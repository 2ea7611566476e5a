"""A batch where nothing is kept between tries (Airflow 3.1, 3.2): no retry orders again what is ordered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.compat import AirflowFailException, TaskDeferralError, TaskDeferred
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.operators.body_swap import SubmitBodySwapBatchOperator
from tests.provider.batches import Batch, at_once, charged, swaps

__all__ = ["at_once"]


def forgetful(emulator: Emulator, folder: Path, **options: Any) -> Batch:
    batch = Batch(emulator, folder, **options)
    batch.store = None
    return batch


def test_a_swap_that_failed_is_no_reason_to_order_all_others_again(emulator: Emulator, tmp_path: Path) -> None:
    emulator.script(Fault("will-fail", on="submit", times=1))
    batch = forgetful(emulator, tmp_path, swaps=swaps(emulator, 5))
    with pytest.raises(AirflowFailException, match=r"4 COMPLETED, 1 FAILED.* a retry would pay again\. What became of"):
        batch.attempt()
    assert [row["status"] for row in batch.rows()].count("COMPLETED") == 4
    assert charged(emulator) == [1] * 5


@pytest.mark.parametrize("reason", ["Trigger timeout", "Trigger failure"])
def test_a_wait_that_airflow_ended_is_none_either(emulator: Emulator, tmp_path: Path, reason: str) -> None:
    emulator.set(job_seconds=60)
    batch = forgetful(emulator, tmp_path, swaps=swaps(emulator, 2))
    context = batch.context()
    with pytest.raises(TaskDeferred):
        batch.task().execute(context)
    with pytest.raises(AirflowFailException, match="a retry would pay again"):
        batch.task().resume_execution("__fail__", {"error": reason}, context)
    event = {"version": 1, "status": "error", "error": {"type": "ServiceError", "message": "the storage is away"}}
    with pytest.raises(AirflowFailException, match=r"the storage is away.* a retry would pay again"):
        batch.task().execute_complete(context, event)
    kept = Batch(emulator, tmp_path, swaps=swaps(emulator, 2))
    with pytest.raises(TaskDeferralError):
        kept.task().resume_execution("__fail__", {"error": "Trigger failure"}, kept.context())


def test_a_submit_that_ordered_some_keeps_their_handles_and_is_not_tried_again(
    emulator: Emulator, tmp_path: Path
) -> None:
    emulator.script(Fault("500", on="submit", after=2, times=100))
    batch = forgetful(emulator, tmp_path, swaps=swaps(emulator, 5), cls=SubmitBodySwapBatchOperator)
    context = batch.context()
    with pytest.raises(AirflowFailException):
        batch.task().execute(context)
    ordered = {charge.request_id for charge in emulator.charges}
    assert ordered
    assert {handle["request_id"] for handle in context["ti"].xcoms["ordered"]} == ordered


@pytest.mark.parametrize("accepted", [True, False], ids=["resubmit", "fail"])
def test_a_retry_orders_only_where_its_author_accepts_that_it_may_pay_again(
    emulator: Emulator, tmp_path: Path, accepted: bool
) -> None:
    """Also where nothing was ordered: a retry after a crash cannot know that."""
    emulator.script(Fault("500", on="credits", times=20))
    word = {"on_unknown_outcome": "resubmit"} if accepted else {}
    batch = forgetful(emulator, tmp_path, swaps=swaps(emulator, 2), cls=SubmitBodySwapBatchOperator, **word)
    with pytest.raises(SegmindError):
        batch.attempt()
    assert not emulator.charges
    emulator.clear_faults()
    if accepted:
        assert len(batch.attempt()) == 2
        return
    with pytest.raises(AirflowFailException, match=r"This is a retry, .* nothing is ordered now\."):
        batch.attempt()
    assert not emulator.charges
