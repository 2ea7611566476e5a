"""A review over its routes: pictures and suggested verdicts, and verdicts of several people at the same moment."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.models.hitl import HITLDetail
from airflow.utils.session import create_session

from tests.plugin.world import PNG, World

PLACE = "/segmind/review/open/r1/review/-1"
MANY = 120


@pytest.fixture
def reviewed(world: World) -> World:
    """A review of many pictures, one of which failed its checks, that waits for people."""
    uri = world.file("a.png", PNG)
    check = {"name": "subject_ssim", "why": "the subject's similarity to the old one is 1.00"}
    rows = [{"request_id": f"q{n}", "files": [{"uri": uri}], "id": f"Look {n}", "default": "keep"} for n in range(MANY)]
    rows[1] |= {"default": "reject", "checks": [check]}
    items = world.file("review.jsonl.items.jsonl", "".join(json.dumps(row) + "\n" for row in rows).encode())
    for key, value in (("segmind_review", {"items": items}), ("segmind_verdicts", {})):
        world.swap(value, key=key, task_id="review")
    ask(world)
    return world


def ask(world: World, **more: Any) -> None:
    """Have Airflow wait for an answer of a person, which ends with the test."""
    world.task("deferred", task_id="review")
    ti_id = world.tasks["open", "r1", "review", -1]
    with create_session() as session:
        session.add(HITLDetail(ti_id=ti_id, options=["Finish"], subject="?", multiple=False, params={}, **more))


def verdicts(world: World) -> dict[str, Any]:
    with create_session() as session:
        from airflow.models.xcom import XComModel
        from sqlalchemy import select

        said = session.scalar(select(XComModel.value).where(XComModel.key == "segmind_verdicts"))
    return dict(json.loads(said) if isinstance(said, str) else said)


def test_a_review_shows_pictures_and_what_the_checks_suggest(vera: Any, reviewed: World) -> None:
    said = vera.get(PLACE, params={"limit": 3}).json()
    assert (said["total"], said["open"], said["decided"], len(said["swaps"])) == (MANY, True, {}, 3)
    assert [swap["default"] for swap in said["swaps"]] == ["keep", "reject", "keep"]
    assert said["swaps"][1]["checks"][0]["words"] == "the person was not replaced"
    assert vera.get(f"/segmind/{said['swaps'][0]['pictures']['after']['full']}").content == PNG
    assert vera.get("/segmind/review/open/r1/other/-1").status_code == 204
    assert vera.get("/segmind/review/open/r1/other/-1/0/after").status_code == 404


def test_a_review_whose_folder_is_not_shown_says_who_can_change_that(
    vera: Any, reviewed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SEGMIND__GALLERY_ROOTS", "s3://bucket/looks")
    answer = vera.get(PLACE)
    assert answer.status_code == 404
    assert "review_uri is not in [segmind] gallery_roots. Have your Airflow administrator" in answer.json()["detail"]


def test_reviewers_at_the_same_moment_lose_no_verdict(api: Callable[..., Any], reviewed: World) -> None:
    clients = {"admin": api("admin"), "vera": api("vera", role="op")}

    def decide(index: int) -> int:
        name = ("admin", "vera")[index % 2]
        sent = {"verdict": ("keep", "again")[index % 2], "items": [index]}
        return int(clients[name].put(PLACE, json=sent).status_code)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(decide, range(MANY))) == {200}
    said = verdicts(reviewed)
    assert len(said) == MANY
    for index in range(MANY):
        assert said[str(index)][:2] == [("keep", "again")[index % 2], ("admin", "vera")[index % 2]]
    shown = clients["admin"].get(PLACE).json()
    assert shown["decided"] == {"keep": MANY // 2, "again": MANY // 2}


@pytest.mark.parametrize(
    "body",
    [
        {"verdict": "maybe", "items": [0]},
        {"verdict": "keep", "items": []},
        {"verdict": "keep", "items": [-1]},
        {"verdict": "keep", "items": [10**9]},
        {"verdict": "keep", "items": list(range(101))},
    ],
)
def test_what_is_no_verdict_is_refused(api: Callable[..., Any], reviewed: World, body: Any) -> None:
    assert api("admin").put(PLACE, json=body).status_code == 422
    assert verdicts(reviewed) == {}


def test_who_may_only_look_decides_nothing(vera: Any, reviewed: World) -> None:
    assert vera.put(PLACE, json={"verdict": "keep", "items": [0]}).status_code == 403
    assert verdicts(reviewed) == {}


def test_another_site_cannot_send_a_verdict(api: Callable[..., Any], reviewed: World) -> None:
    """What a page may send without asking is a form or a text, by POST; and a browser that asks hears no yes."""
    admin, body = api("admin"), json.dumps({"verdict": "keep", "items": [0]})
    assert admin.post(PLACE, content=body, headers={"Content-Type": "text/plain"}).status_code == 405
    assert admin.put(PLACE, content=body, headers={"Content-Type": "text/plain"}).status_code == 422
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "PUT"}
    assert "access-control-allow-origin" not in admin.options(PLACE, headers=asked).headers
    assert verdicts(reviewed) == {}


def test_after_its_end_a_review_takes_no_verdict(api: Callable[..., Any], reviewed: World) -> None:
    with create_session() as session:
        detail = session.get(HITLDetail, reviewed.tasks["open", "r1", "review", -1])
        assert detail is not None
        detail.responded_at = datetime.now(UTC)
    admin = api("admin")
    answer = admin.put(PLACE, json={"verdict": "keep", "items": [0]})
    assert answer.status_code == 409
    assert "This verdict is not saved" in answer.json()["detail"]
    assert not admin.get(PLACE).json()["open"]


@pytest.mark.parametrize("state", ["failed", "success", "up_for_retry", "queued"])
def test_a_review_whose_task_ended_otherwise_takes_no_verdict(
    api: Callable[..., Any], reviewed: World, state: str
) -> None:
    reviewed.task(state, task_id="review")
    admin = api("admin")
    assert admin.put(PLACE, json={"verdict": "keep", "items": [0]}).status_code == 409
    said = admin.get(PLACE).json()
    assert (said["open"], said["state"]) == (False, state)
    assert verdicts(reviewed) == {}


def test_verdicts_that_somebody_else_wrote_are_data(vera: Any, reviewed: World) -> None:
    for value in ("no JSON", [1], {"0": "keep"}, {"0": ["<b>", 1, 2]}):
        reviewed.swap(value, key="segmind_verdicts", task_id="review")
        assert vera.get(PLACE).status_code == 200
