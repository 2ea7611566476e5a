"""Which swaps the gallery lists, of what tasks have said of them, and in which order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.plugin.world import JPEG, PNG, WEBP, World, swaps


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "a word",
        "[" * 20_000,
        {"state": "done"},
        {"after": ["file:///a"]},
        {"cost": float("nan")},
        {"cost": -1},
        {"cost": "1"},
        {"cost": True},
        {"seconds": 10**400},
        {"label": {"a": 1}},
        {"checks": "failed"},
        {"checks": [{"name": "a", "why": "b"}] * 1000},
        {"thumbs": "x"},
        {"label": "x" * 100_000},
    ],
)
def test_what_is_no_record_is_passed_over(vera: Any, world: World, value: Any) -> None:
    bad = world.swap(value, task_id="bad")
    world.swap({"label": "good"}, task_id="good")
    said = swaps(vera)
    assert [swap["label"] for swap in said["swaps"]] == ["good"]
    assert vera.get(f"/segmind/image/{bad}/after").status_code == 404


def test_markup_in_a_record_is_text_in_an_answer_that_is_json(vera: Any, world: World) -> None:
    said = "<img src=x onerror=alert(1)>"
    world.swap({"label": said, "checks": [{"name": said, "why": "<script>alert(1)</script>"}]})
    answer = vera.get("/segmind/swaps")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["swaps"][0]["label"] == said


def test_a_record_that_a_person_added_in_the_ui_is_read(vera: Any, world: World) -> None:
    """Airflow stores what the UI adds as text that holds JSON."""
    world.swap(json.dumps({"label": "by hand"}))
    assert swaps(vera)["swaps"][0]["label"] == "by hand"


def test_what_the_ordering_and_the_storing_task_say_of_one_job_is_one_swap(vera: Any, world: World) -> None:
    now = datetime.now(UTC)
    before, after = world.file("b.png", PNG), world.file("a.png", JPEG)
    world.swap(
        {"state": "waiting", "request_id": "q1", "before": before, "cost": 0.27, "submitted_at": 5.0},
        task_id="order",
        at=now - timedelta(minutes=1),
    )
    stored = world.swap({"request_id": "q1", "after": after, "seconds": 40}, task_id="store", at=now)
    world.swap({"request_id": "q2"}, task_id="store", map_index=3, at=now - timedelta(minutes=2))
    said = swaps(vera)
    assert (said["total"], said["spent"], said["waiting"]) == (2, 0.27, 0)
    swap = said["swaps"][0]
    assert (swap["state"], swap["task_id"], swap["submitted_at"]) == ("completed", "store", 5.0)
    assert vera.get(f"/segmind/{swap['pictures']['before']['full']}").content == PNG
    assert vera.get(f"/segmind/{swap['pictures']['after']['full']}").content == JPEG
    # An approval names the task that stored the result, and shows the scene all the same.
    assert vera.get(f"/segmind/image/{stored}/before").content == PNG
    for task in ("order", "store"):
        assert swaps(vera, dag_id="open", run_id="r1", task_id=task)["total"] == 1
    assert swaps(vera, dag_id="open", run_id="r1", task_id="store", map_index="3")["total"] == 1
    assert swaps(vera, dag_id="open", run_id="r1", task_id="store", map_index="4")["total"] == 0


def test_several_swaps_of_one_task_are_cards_of_their_own_with_pictures_of_their_own(vera: Any, world: World) -> None:
    first, second, scene = world.file("1.png", PNG), world.file("2.png", JPEG), world.file("scene.png", WEBP)
    world.swap({"state": "waiting", "request_id": "q2", "before": scene, "cost": 0.27}, task_id="order")
    stored = [
        {"request_id": "q1", "after": first},
        "not a record",
        {"request_id": "q2", "after": second, "thumbs": {"after": first}},
    ]
    place = world.swap(stored, task_id="store")
    said = swaps(vera)
    assert (said["total"], said["completed"], said["spent"]) == (2, 2, 0.27)
    shown = {swap["request_id"]: swap["pictures"] for swap in said["swaps"]}
    assert vera.get(f"/segmind/{shown['q1']['after']['full']}").content == PNG
    assert vera.get(f"/segmind/{shown['q2']['after']['full']}").content == JPEG
    assert vera.get(f"/segmind/{shown['q2']['after']['small']}").content == PNG
    assert vera.get(f"/segmind/{shown['q2']['before']['full']}").content == WEBP
    assert vera.get(f"/segmind/image/{place}/before?part=2").content == WEBP
    for part in (1, 3):
        assert vera.get(f"/segmind/image/{place}/after?part={part}").status_code == 404
    for part in (-1, 10**6, "x"):
        assert vera.get(f"/segmind/image/{place}/after?part={part}").status_code == 422
    assert swaps(vera, dag_id="open", run_id="r1", task_id="store")["total"] == 2


def test_a_check_that_failed_is_said_on_the_card_of_its_swap(vera: Any, world: World) -> None:
    now = datetime.now(UTC)
    after = world.file("a.png", PNG)
    check = {"name": "aspect_ratio_delta", "why": "It is 12 % wider.", "words": "the result is stretched or squashed"}
    world.swap({"state": "waiting", "request_id": "q1", "cost": 0.27}, task_id="order", at=now - timedelta(minutes=2))
    world.swap({"request_id": "q1", "after": after, "seconds": 40}, task_id="store", at=now - timedelta(minutes=1))
    world.swap({"request_id": "q1", "checks": [check]}, task_id="compare", at=now)
    (swap,) = swaps(vera)["swaps"]
    assert (swap["state"], swap["cost"], swap["seconds"], swap["checks"]) == ("completed", 0.27, 40, [check])
    assert vera.get(f"/segmind/{swap['pictures']['after']['full']}").content == PNG
    # Stored once more, it is still the picture that failed.
    world.swap({"request_id": "q1", "after": after}, task_id="store", at=now + timedelta(minutes=1))
    assert swaps(vera)["swaps"][0]["checks"] == [check]
    # Waited for once more, nobody knows yet how it ends.
    world.swap({"state": "waiting", "request_id": "q1"}, task_id="order", at=now + timedelta(minutes=2))
    (swap,) = swaps(vera)["swaps"]
    assert (swap["state"], swap["seconds"], swap["checks"]) == ("waiting", None, [])


@pytest.mark.parametrize("waiting", ["order", "wait"])
def test_a_swap_that_has_ended_is_done_before_it_is_stored_and_says_how_long_it_took(
    vera: Any, world: World, waiting: str
) -> None:
    """The task that waited is the one that ordered, or another one."""
    at = datetime(2026, 11, 25, 12, tzinfo=UTC)
    scene = world.file("scene.png", PNG)
    ordered = {"state": "waiting", "request_id": "q1", "before": scene, "submitted_at": at.timestamp()}
    order = world.swap(ordered, task_id="order", at=at)
    assert swaps(vera)["waiting"] == 1
    end = {"request_id": "q1"}
    world.swap(end, task_id=waiting, key="body_swap_end", at=at + timedelta(seconds=41))
    (swap,) = swaps(vera)["swaps"]
    assert (swap["state"], swap["seconds"], swap["task_id"]) == ("completed", 41, waiting)
    assert vera.get(f"/segmind/image/{order}/before").content == PNG
    world.swap({"request_id": "q1", "after": scene}, task_id="store", at=at + timedelta(seconds=60))
    (swap,) = swaps(vera)["swaps"]
    assert (swap["state"], swap["seconds"], swap["task_id"]) == ("completed", 41, "store")
    assert swaps(vera, dag_id="open", run_id="r1", task_id=waiting)["total"] == 1


def test_a_swap_that_failed_at_segmind_says_so_while_its_run_goes_on(vera: Any, world: World) -> None:
    world.swap({"state": "waiting", "request_id": "q1", "cost": 0.27}, task_id="order")
    check = {"name": "job", "why": "Segmind reports that the job FAILED.", "words": ""}
    later = datetime.now(UTC) + timedelta(seconds=1)
    world.swap({"state": "failed", "request_id": "q1", "checks": [check]}, key="body_swap_end", task_id="w", at=later)
    (swap,) = swaps(vera)["swaps"]
    assert (swap["state"], swap["cost"], swap["checks"], swap["seconds"]) == ("failed", 0.27, [check], None)


def test_pictures_that_a_check_kept_from_being_ordered_are_no_failed_swap(vera: Any, world: World) -> None:
    world.swap({"state": "rejected", "checks": [{"name": "person_count", "why": "Nobody."}]}, task_id="check")
    world.swap({"cost": 0.27}, task_id="swap")
    said = swaps(vera)
    assert {name: said[name] for name in ("total", "completed", "failed", "rejected", "spent")} == {
        "total": 2,
        "completed": 1,
        "failed": 0,
        "rejected": 1,
        "spent": 0.27,
    }
    assert [swap["task_id"] for swap in swaps(vera, state="rejected")["swaps"]] == ["check"]


def test_the_same_request_id_in_another_run_or_dag_is_another_swap(vera: Any, world: World) -> None:
    world.swap({"request_id": "q1"}, run_id="r1")
    world.swap({"request_id": "q1"}, run_id="r2")
    world.swap({"request_id": "q1"}, dag_id="open_too")
    assert swaps(vera)["total"] == 3


def test_a_swap_whose_task_failed_is_not_waited_for(vera: Any, world: World) -> None:
    world.swap({"state": "waiting"}, task_id="dead")
    world.task("failed", task_id="dead")
    world.swap({"state": "waiting"}, task_id="alive")
    world.task("deferred", task_id="alive")
    said = {swap["task_id"]: swap for swap in swaps(vera)["swaps"]}
    assert said["alive"]["state"] == "waiting"
    assert said["dead"]["state"] == "open"
    assert said["dead"]["checks"][0]["why"].startswith("The task ended before this was fetched. It is paid for")


@pytest.mark.parametrize(
    ("run", "state"), [("running", "waiting"), ("queued", "waiting"), ("success", "open"), ("failed", "open")]
)
def test_nobody_waits_in_a_run_that_has_ended(vera: Any, world: World, run: str, state: str) -> None:
    world.swap({"state": "waiting"})
    world.task("success")
    world.run(run)
    assert swaps(vera)["swaps"][0]["state"] == state


def test_many_swaps_that_one_task_ordered_for_others_are_done_when_their_run_is(vera: Any, world: World) -> None:
    world.swap({"state": "waiting", "orders": 900, "total": 900, "cost": 241.83, "label": "900 more"})
    world.run("success")
    said = swaps(vera)
    assert (said["completed"], said["ordered"], said["spent"]) == (900, 900, 241.83)


def test_a_swap_that_was_ordered_twice_and_never_fetched_is_not_done(vera: Any, world: World) -> None:
    world.swap({"state": "waiting", "request_id": "q2", "orders": 2, "cost": 0.54})
    world.run("success")
    assert [swap["state"] for swap in swaps(vera)["swaps"]] == ["open"]


def test_a_card_has_the_name_that_the_author_gives_a_mapped_task(vera: Any, world: World) -> None:
    world.swap({"label": "monday.jpg"}, map_index=1)
    world.swap({"label": "tuesday.jpg"}, map_index=2)
    world.task("success", map_index=2, name="Silk, summer")
    assert {swap["label"] for swap in swaps(vera)["swaps"]} == {"monday.jpg", "Silk, summer"}


def test_a_name_of_the_authors_is_not_lost_to_a_file_that_another_task_knows(vera: Any, world: World) -> None:
    world.swap({"request_id": "q1", "label": "monday.jpg"}, task_id="order", map_index=2)
    world.task("success", task_id="order", map_index=2, name="Silk, summer")
    world.swap({"request_id": "q1", "label": "monday.jpg"}, task_id="store", map_index=2)
    assert [swap["label"] for swap in swaps(vera)["swaps"]] == ["Silk, summer"]


def test_without_a_price_nobody_says_what_was_spent(vera: Any, world: World) -> None:
    world.swap({"request_id": "a", "orders": 1, "cost": 0.27}, task_id="a")
    assert swaps(vera)["spent"] == 0.27
    world.swap({"request_id": "b", "orders": 1}, task_id="b")
    assert swaps(vera)["spent"] is None


def test_a_batch_counts_as_its_swaps(vera: Any, world: World) -> None:
    world.swap({"request_id": "b", "state": "waiting", "orders": 30, "total": 30, "cost": 8.061}, task_id="swaps")
    assert swaps(vera)["waiting"] == 30
    end = {"request_id": "b", "state": "completed", "total": 30, "missing": 29}
    world.swap(end, key="body_swap_end", task_id="swaps")
    said = swaps(vera)
    assert (said["completed"], said["failed"], said["ordered"], said["total"]) == (1, 29, 30, 1)


def test_the_end_of_a_wait_for_what_nobody_ordered_is_no_swap(vera: Any, world: World) -> None:
    world.swap({"state": "failed", "request_id": "q1"}, key="body_swap_end")
    assert swaps(vera)["total"] == 0


def test_swaps_can_be_filtered_by_dag_state_and_date(vera: Any, world: World) -> None:
    days = {name: datetime(2026, 11, day, 12, tzinfo=UTC) for name, day in (("old", 1), ("mid", 2), ("new", 3))}
    states = {"old": "failed", "mid": "completed", "new": "completed"}
    for name, at in days.items():
        world.swap({"label": name, "state": states[name], "cost": 1}, f"open_{name}", at=at)

    def labels(**wanted: Any) -> list[str]:
        return [swap["label"] for swap in swaps(vera, **wanted)["swaps"]]

    assert labels() == ["new", "mid", "old"]
    assert labels(dag_id="open_mid") == ["mid"]
    assert labels(state="failed") == ["old"]
    assert labels(since="2026-11-02") == ["new", "mid"]
    assert labels(until="2026-11-02") == ["mid", "old"]
    assert labels(since="2026-11-02", until="2026-11-02") == ["mid"]
    assert labels(until="9999-12-31") == ["new", "mid", "old"]
    assert vera.get("/segmind/swaps", params={"state": "lost"}).status_code == 422
    assert vera.get("/segmind/swaps", params={"limit": 10_000}).status_code == 422
    sums = swaps(vera)
    assert (sums["completed"], sums["failed"], sums["spent"]) == (2, 1, 3.0)


def test_a_page_of_two_thousand_swaps_takes_one_query_and_reads_each_record_once(
    vera: Any, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow import settings
    from sqlalchemy import event

    from airflow_provider_segmind.api.gallery import read_records
    from airflow_provider_segmind.gallery import records

    folder = "s3://bucket/looks/2026-11-24"
    ordered = {"state": "waiting", "before": f"{folder}/a.png", "reference": f"{folder}/b.png", "cost": 0.2687}
    stored = {"after": f"{folder}/after.png", "thumbs": {"after": f"{folder}/after.thumb.webp"}}
    start = datetime(2026, 11, 1, tzinfo=UTC)

    def said_of(n: int) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """What the three tasks of a swap say."""
        at, known = start + timedelta(seconds=n), {"request_id": f"q{n}"}
        yield {**known, **ordered, "submitted_at": at.timestamp()}, {"task_id": "order", "map_index": n, "at": at}
        at += timedelta(seconds=41)
        yield known, {"task_id": "wait", "key": "body_swap_end", "map_index": n, "at": at}
        yield {**known, **stored}, {"task_id": "store", "map_index": n, "at": at + timedelta(seconds=9)}

    world.swaps(said for n in range(2000) for said in said_of(n))
    statements: list[str] = []
    rows: list[Any] = []

    def read(value: Any) -> Any:
        rows.append(value)
        return read_records(value)

    monkeypatch.setattr(records, "read_records", read)

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        if "xcom" in statement.lower():
            statements.append(statement)

    event.listen(settings.engine, "before_cursor_execute", note)
    try:
        seen: list[int] = []
        # Two pages that follow each other, and the last; the browser's test turns all of them.
        for offset in (0, 100, 1900):
            statements.clear()
            rows.clear()
            said = swaps(vera, offset=offset, limit=100)
            assert len(statements) == 1
            assert len(rows) == 3 * 2000, "a swap has three records"
            assert (said["total"], said["completed"], said["more"]) == (2000, 2000, False)
            assert {swap["seconds"] for swap in said["swaps"]} == {41}
            seen += [swap["map_index"] for swap in said["swaps"]]
    finally:
        event.remove(settings.engine, "before_cursor_execute", note)
    assert seen == [*range(1999, 1799, -1), *range(99, -1, -1)]
    assert said["spent"] == pytest.approx(2000 * 0.2687)
