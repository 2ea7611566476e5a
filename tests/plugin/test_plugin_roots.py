"""What a record may show is bound to the DAG that it is in: the API server lends its rights to nobody else's files."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.models import dag

from airflow_provider_segmind.gallery.roots import allowed, roots_of
from airflow_provider_segmind.plugin import SegmindPlugin
from tests.plugin.world import PNG, World, swaps

Api = Callable[..., Any]


@pytest.fixture
def teams(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a world of two teams, of which each has a picture, a batch and a DAG."""
    if not hasattr(dag, "clear_team_name_cache"):
        pytest.skip("this Airflow has no teams")
    dag.clear_team_name_cache()
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", "True")
    monkeypatch.setenv("AIRFLOW__SEGMIND__GALLERY_ROOTS", f"file://{world.folder}/{{team}}/pictures")
    for team in ("red", "blue"):
        picture = world.file(f"{team}/pictures/a.png", PNG)
        sidecar = world.file(f"{team}/pictures/a.json", json.dumps({"id": f"{team} look", "cost": 0.27}).encode())
        files = [{"uri": picture, "sidecar": sidecar}]
        manifest = world.file(f"{team}/pictures/m.jsonl", json.dumps({"request_id": "q", "files": files}).encode())
        world.swap({"after": picture}, f"open_{team}")
        world.swap({"items": manifest}, f"open_{team}", task_id="batch")
        world.team(team, f"open_{team}")
    return world


@pytest.fixture
def red(api: Api, teams: World) -> Any:
    """Return a client of a member of the team "red"."""
    return api("rhea", teams=["red"])


def test_a_team_sees_its_own_pictures_and_batches(api: Api, teams: World) -> None:
    for team, other in (("red", "blue"), ("blue", "red")):
        member = api("rhea", teams=[team])
        assert member.get(f"/segmind/image/open_{team}/r1/swap/-1/after").content == PNG
        (item,) = member.get(f"/segmind/items/open_{team}/r1/batch/-1").json()["swaps"]
        assert item["label"] == f"{team} look"
        assert member.get(f"/segmind/{item['pictures']['after']['full']}").content == PNG
        assert {swap["dag_id"] for swap in swaps(member)["swaps"]} == {f"open_{team}"}
        assert member.get(f"/segmind/image/open_{other}/r1/swap/-1/after").status_code == 403


@pytest.mark.parametrize("folder", ["", "/{team}", "/{team}/pictures", "/{dag_id}"])
def test_a_record_of_one_team_shows_nothing_of_another(
    red: Any, teams: World, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """Whoever may write an XCom of a DAG of the team "red" asks for the picture and the prices of "blue"."""
    monkeypatch.setenv("AIRFLOW__SEGMIND__GALLERY_ROOTS", f"file://{teams.folder}{folder}")
    others = f"file://{teams.folder}/blue/pictures"
    record = {"after": f"{others}/a.png", "thumbs": {"after": f"{others}/a.png"}}
    path = teams.swap(record, "open_red")
    for size in ("small", "full"):
        assert red.get(f"/segmind/image/{path}/after", params={"size": size}).status_code == 404
    (swap,) = [each for each in swaps(red, dag_id="open_red")["swaps"] if each["task_id"] == "swap"]
    assert swap["pictures"]["after"] == {"full": None, "small": None}
    batch = teams.swap({"items": f"{others}/m.jsonl"}, "open_red", task_id="batch")
    answer = red.get(f"/segmind/items/{batch}")
    assert answer.status_code == 404
    assert "blue look" not in answer.text
    assert red.get(f"/segmind/items/{batch}/0/after").status_code == 404


def test_a_manifest_or_sidecar_of_ones_own_does_not_lead_to_another_teams_files(red: Any, teams: World) -> None:
    others = f"file://{teams.folder}/blue/pictures"
    files = [{"uri": f"{others}/a.png", "thumbnail": f"{others}/a.png", "sidecar": f"{others}/a.json"}]
    manifest = teams.file("red/pictures/bad.jsonl", json.dumps({"request_id": "q", "files": files}).encode())
    batch = teams.swap({"items": manifest}, "open_red", task_id="batch")
    (item,) = red.get(f"/segmind/items/{batch}").json()["swaps"]
    assert (item["label"], item["cost"], item["pictures"]["after"]) == (None, None, {"full": None, "small": None})
    assert red.get(f"/segmind/items/{batch}/0/after").status_code == 404


def test_a_link_in_a_teams_own_folder_does_not_lead_to_another_teams(red: Any, teams: World) -> None:
    """The folder that an administrator meant is a link as well, since the team may write beside it."""
    (teams.folder / "red" / "pictures").rename(teams.folder / "red" / "before")
    (teams.folder / "red" / "pictures").symlink_to(teams.folder / "blue" / "pictures")
    path = teams.swap({"after": f"file://{teams.folder}/red/pictures/a.png"}, "open_red")
    assert red.get(f"/segmind/image/{path}/after").status_code == 404


def test_a_link_that_an_administrator_wrote_out_is_followed(
    red: Any, teams: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "mnt").symlink_to(teams.folder)
    monkeypatch.setenv("AIRFLOW__SEGMIND__GALLERY_ROOTS", f"file://{tmp_path}/mnt/{{team}}/pictures")
    path = teams.swap({"after": f"file://{tmp_path}/mnt/red/pictures/a.png"}, "open_red")
    assert red.get(f"/segmind/image/{path}/after").content == PNG


def test_a_dag_without_a_team_shows_no_teams_pictures(red: Any, teams: World) -> None:
    for uri in (f"file://{teams.folder}/red/pictures/a.png", f"file://{teams.folder}/None/pictures/a.png"):
        path = teams.swap({"after": uri}, "open_to_all")
        assert red.get(f"/segmind/image/{path}/after").status_code == 404


def test_a_dag_that_moves_to_another_team_takes_no_pictures_along(api: Api, teams: World) -> None:
    """A second DAG of the same id in another team's bundle moves it, so an id is no border between teams."""
    teams.team("blue", "open_red")
    dag.clear_team_name_cache()
    assert api("bert", teams=["blue"]).get("/segmind/image/open_red/r1/swap/-1/after").status_code == 404


def test_folders_that_teams_would_share_are_refused_at_start_and_not_shown(
    red: Any, teams: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shared, by_dag = f"file://{teams.folder}", f"file://{teams.folder}/red/{{dag_id}}"
    monkeypatch.setenv("AIRFLOW__SEGMIND__GALLERY_ROOTS", f"{shared}, {by_dag}")
    caplog.set_level(logging.ERROR, logger="airflow_provider_segmind")
    assert len(SegmindPlugin().fastapi_apps) == 1
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    for root, words in zip((shared, by_dag), said, strict=True):
        assert f"{root!r}, which teams would share" in words
        assert "put {team} into it" in words
    assert red.get("/segmind/image/open_red/r1/swap/-1/after").status_code == 404
    assert swaps(red)["has_roots"] is False


def test_a_dag_sees_its_own_folder_where_the_id_of_the_dag_is_part_of_it(
    vera: Any, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__SEGMIND__GALLERY_ROOTS", f"file://{world.folder}/{{dag_id}}")
    uris = {name: world.file(f"{name}/a.png", PNG) for name in ("open_one", "open_two")}
    own = world.swap({"after": uris["open_one"]}, "open_one")
    other = world.swap({"after": uris["open_two"]}, "open_one", task_id="other")
    assert vera.get(f"/segmind/image/{own}/after").status_code == 200
    assert vera.get(f"/segmind/image/{other}/after").status_code == 404


@pytest.mark.parametrize("dag_id", ["..", ".", "...", "a/b", "", "a\nb", "%2e%2e"])
def test_an_id_is_one_folder_or_none(dag_id: str) -> None:
    within = roots_of(["s3://b/looks/{dag_id}"]).of(dag_id, None)
    assert within == ()
    assert not allowed("s3://b/secret.png", within)


def test_a_field_can_be_a_part_of_a_buckets_or_connections_name() -> None:
    within = roots_of(["s3://{team}_aws@pictures-{team}"], multi_team=True).of("looks", "red")
    assert allowed("s3://red_aws@pictures-red/a.png", within)
    for uri in ("s3://red_aws@pictures-blue/a.png", "s3://{team}_aws@pictures-{team}/a.png", "s3://pictures-red/a.png"):
        assert not allowed(uri, within)


@pytest.mark.parametrize(
    ("uris", "why"),
    [
        (["s3://b/{task_id}"], "a field that nothing fills"),
        (["s3://b/{team"], "a field that nothing fills"),
        (["s3://b/{team}-{dag_id}"], "more than one way"),
        (["https://example.com/a"], "no folder of an object storage"),
        (["/"], "no folder of an object storage"),
        # A team called "looks", or a DAG, would see what is in the other folder of everybody else.
        (["s3://b/{team}", "s3://b/looks/{team}"], "a folder of one a folder of the other"),
        (["s3://b/{dag_id}", "s3://b/{team}/{dag_id}"], "a folder of one a folder of the other"),
        (["s3://b/p-{team}", "s3://b/p-{team}-x"], "a folder of one a folder of the other"),
    ],
)
def test_a_folder_whose_owner_is_not_certain_is_refused(uris: list[str], why: str) -> None:
    said = roots_of(uris)
    assert said.folders == ()
    assert why in said.refused[0]


@pytest.mark.parametrize(
    "uris",
    [
        ["s3://b/{team}/in", "s3://b/{team}/out"],
        ["s3://b/{team}", "s3://b/{team}/{dag_id}"],
        ["s3://b/scenes/{team}", "s3://b/looks/{team}"],
        ["s3://scenes-{team}", "s3://looks-{team}"],
        ["s3://b/{team}", "s3://c/{team}", "gs://b/{team}"],
    ],
)
def test_folders_that_keep_apart_whoever_they_belong_to_are_shown(uris: list[str]) -> None:
    said = roots_of(uris, multi_team=True)
    assert [root.text for root in said.folders] == uris
    assert said.refused == ()
