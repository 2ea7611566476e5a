"""Orders with the same inputs at the same time: each is delivered its own, or all that it can be are named."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api import history
from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.orders.store import KEY
from tests.provider.batches import PNG, RUNNING, Batch, at_once, swaps
from tests.provider.tries import Task

__all__ = ["at_once"]


def shown(emulator: Emulator) -> str:
    """Return what the history shows now."""
    with SegmindHook().get_conn() as session:
        return str(session.get(f"{emulator.url}{history.HISTORY_PATH}?per_page=100", timeout=10).text)


def files(folder: Path) -> dict[str, Any]:
    """Return two pictures of one's own."""
    for name in ("scene", "person"):
        (folder / f"{name}.png").write_bytes(PNG)
    return {
        "character_image": str(folder / "scene.png"),
        "reference_character_image": str(folder / "person.png"),
    }


def test_the_order_of_another_run_is_not_taken_before_ones_own_must_be_listed(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken for it, it would leave this order's own charge without a name."""
    monkeypatch.setattr(history, "SETTLED", -34.0)  # a second after the intent
    Task(emulator).attempt()
    emulator.script(Fault("drop-after"), Fault("raw", on="history", body=shown(emulator)))
    with pytest.raises(AirflowFailException, match=r"several requests.*It can be: ") as error:
        Task(emulator).attempt()
    assert len(emulator.charges) == 2
    assert all(charge.request_id in str(error.value) for charge in emulator.charges)


def test_an_adopted_order_that_another_run_may_own_is_said_to_be_shared(
    emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    Task(emulator).attempt()
    emulator.script(Fault("drop-before"))
    task = Task(emulator)
    with caplog.at_level(logging.WARNING):
        result = task.attempt()
    assert result["request_id"] == emulator.charges[0].request_id
    assert (
        f"Request {result['request_id']} is the only one with these inputs at that time. Another order" in caplog.text
    )
    assert task.store is not None
    assert task.store[KEY]["candidates"] == [result["request_id"]]


def test_what_the_history_showed_is_named_by_every_later_error(emulator: Emulator) -> None:
    Task(emulator).attempt()
    emulator.script(Fault("drop-after"))
    task = Task(emulator)
    with pytest.raises(AirflowFailException):
        task.attempt()
    emulator.set(history=False)
    with pytest.raises(AirflowFailException, match="could not help") as error:
        task.attempt()
    assert all(charge.request_id in str(error.value) for charge in emulator.charges)


def test_pictures_that_are_uploaded_tell_orders_apart(
    emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Task(emulator, **files(tmp_path)).attempt()
    emulator.script(Fault("drop-after"))
    result = Task(emulator, **files(tmp_path)).attempt()
    assert result["request_id"] == emulator.charges[1].request_id
    assert "Another order" not in caplog.text


def test_a_tag_tells_orders_of_the_same_urls_apart_and_changes_no_picture(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SEGMIND__TAG_ORDERS", "True")
    first = Task(emulator).attempt()
    emulator.script(Fault("drop-after"))
    second = Task(emulator).attempt()
    assert [first["request_id"], second["request_id"]] == [charge.request_id for charge in emulator.charges]
    sent = [charge.inputs["character_image"] for charge in emulator.charges]
    assert [url.partition("#order=")[0] for url in sent] == [emulator.sample("scene", 0)] * 2
    assert len(set(sent)) == 2
    with SegmindHook().get_conn() as session:
        assert len({session.get(result["image_url"], timeout=10).content for result in (first, second)}) == 1


@pytest.mark.parametrize("own", ["uploads", "tags"])
def test_a_batch_tells_its_orders_from_those_of_another_run(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    monkeypatch.setenv("AIRFLOW__SEGMIND__TAG_ORDERS", str(own == "tags"))
    given = [{**swap, **(files(tmp_path) if own == "uploads" else {})} for swap in swaps(emulator, 6)]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    assert Batch(emulator, tmp_path / "one", swaps=given).attempt()["completed"] == 6
    emulator.set(job_seconds=RUNNING)
    emulator.script(Fault("drop-after", after=1, times=2), Fault("drop-before", after=2))
    batch = Batch(emulator, tmp_path / "two", swaps=given)
    assert batch.attempt()["completed"] == 6
    assert {row["request_id"] for row in batch.rows()} == {charge.request_id for charge in emulator.charges[6:]}
    assert len(emulator.charges) == 12


def ordered_by_another_run(emulator: Emulator) -> list[dict[str, Any]]:
    """Return a batch of one swap, which another task has just ordered as well."""
    emulator.set(job_seconds=0)
    given = swaps(emulator, 1)
    Task(emulator, **{k: v for k, v in given[0].items() if k != "id"}).attempt()
    return given


def test_an_order_of_a_batch_that_can_be_several_requests_names_them_in_its_row(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    given = ordered_by_another_run(emulator)
    emulator.script(Fault("drop-after"))
    batch = Batch(emulator, tmp_path, swaps=given)
    with pytest.raises(SegmindError, match="1 UNKNOWN"):
        batch.attempt()
    for charge in emulator.charges:
        assert charge.request_id in batch.rows()[0]["error"]
        assert charge.request_id in caplog.text
    emulator.set(history=False)
    with pytest.raises(SegmindError, match="1 UNKNOWN"):
        batch.attempt()
    assert all(charge.request_id in batch.rows()[0]["error"] for charge in emulator.charges)


def test_an_order_of_a_batch_that_another_run_may_own_is_said_to_be_shared(
    emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = ordered_by_another_run(emulator)
    emulator.script(Fault("drop-before"))
    batch = Batch(emulator, tmp_path, swaps=given)
    assert batch.attempt()["completed"] == 1
    assert f"Request {emulator.charges[0].request_id} is the only one with these inputs" in caplog.text


@pytest.mark.parametrize("batch", [True, False])
def test_an_answer_that_names_the_request_and_not_where_to_ask_needs_no_history(
    emulator: Emulator, tmp_path: Path, batch: bool
) -> None:
    emulator.set(job_seconds=0, history=False)
    emulator.script(Fault("no-poll-url"))
    if batch:
        assert Batch(emulator, tmp_path, swaps=swaps(emulator, 3)).attempt()["completed"] == 3
    else:
        assert Task(emulator).attempt()["request_id"] == emulator.charges[0].request_id
    assert len(emulator.charges) == (3 if batch else 1)


def test_a_batch_that_is_cleared_does_not_take_the_orders_of_the_time_before(
    emulator: Emulator, tmp_path: Path
) -> None:
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 6))
    assert batch.attempt()["completed"] == 6
    emulator.set(job_seconds=RUNNING)
    batch.max_tries = batch.tries + batch.retries
    emulator.script(Fault("drop-before", after=1), Fault("drop-after", after=3))
    assert batch.attempt()["completed"] == 6
    assert batch.attempt()["completed"] == 6
    assert {row["request_id"] for row in batch.rows()} == {charge.request_id for charge in emulator.charges[6:]}
    assert len(emulator.charges) == 12
