"""What the gallery's routes give to whom: Airflow's own application and cookie, a real database, hostile records."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.plugin import SegmindPlugin
from tests.plugin.world import World

Api = Callable[..., Any]

PNG = b"\x89PNG\r\n\x1a\n and pixels"
JPEG = b"\xff\xd8\xff\xe0 and pixels"
WEBP = b"RIFF\x00\x00\x00\x00WEBPVP8 "


@pytest.fixture
def vera(api: Api) -> Any:
    """Return a client of a viewer who may read the DAGs called ``open…`` only."""
    return api("vera")


def swaps(client: Any, **wanted: Any) -> dict[str, Any]:
    answer = client.get("/segmind/swaps", params=wanted)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


def routes() -> Iterator[Any]:
    (entry,) = SegmindPlugin().fastapi_apps
    yield from entry["app"].routes


# Who may see what


def test_only_static_files_are_open_to_everybody(api: Api) -> None:
    """A route that is written later is among these, and cannot be forgotten."""
    nobody, asked = api(None), []
    for route in routes():
        if getattr(route, "name", "") == "static":
            continue
        assert route.methods <= {"GET", "HEAD"}, f"{route.path} could change something"
        path = route.path.replace("{slot}", "after").replace("{index}", "0").replace("{map_index}", "-1")
        for name in ("dag_id", "run_id", "task_id"):
            path = path.replace(f"{{{name}}}", "open")
        assert "{" not in path
        assert nobody.get(f"/segmind{path}").status_code == 401, path
        assert api(None, token="no.real.token").get(f"/segmind{path}").status_code == 403, path
        asked.append(path)
    assert len(asked) == 4
    assert not [
        path for path in ("/docs", "/openapi.json", "/redoc") if nobody.get(f"/segmind{path}").status_code == 200
    ]


def test_scripts_styles_and_icons_are_there_with_their_types(api: Api) -> None:
    nobody = api(None)
    for name, kind in [("gallery.js", "javascript"), ("gallery.css", "text/css"), ("icon.svg", "image/svg+xml")]:
        answer = nobody.get(f"/segmind/static/{name}")
        assert answer.status_code == 200
        assert kind in answer.headers["content-type"]
    assert nobody.get("/segmind/static/../app.py").status_code in (401, 404)
    assert nobody.get("/segmind/static/%2e%2e/app.py").status_code == 404


def test_a_viewer_of_some_dags_sees_their_swaps_only(api: Api, world: World) -> None:
    uri = world.file("a.png", PNG)
    hers = world.swap({"after": uri, "cost": 1.0}, "open_one")
    other = world.swap({"after": uri, "cost": 10.0}, "closed_one")
    for user in ("vera", "xena"):
        client = api(user)
        said = swaps(client)
        assert [swap["dag_id"] for swap in said["swaps"]] == ["open_one"]
        assert (said["total"], said["spent"], said["dag_ids"]) == (1, 1.0, ["open_one"])
        assert client.get("/segmind/swaps", params={"dag_id": "closed_one"}).status_code == 403
        assert client.get(f"/segmind/image/{hers}/after").status_code == 200
        assert client.get(f"/segmind/image/{other}/after").status_code == 403
        assert client.get(f"/segmind/items/{other}").status_code == 403
        assert client.get(f"/segmind/items/{other}/0/after").status_code == 403
    assert swaps(api("admin"))["spent"] == 11.0


def test_a_path_in_a_query_does_not_change_which_dag_is_asked_for(vera: Any, world: World) -> None:
    """The path's DAG is the one that is authorised, and the one that is read."""
    other = world.swap({"after": world.file("a.png", PNG)}, "closed_one")
    assert vera.get(f"/segmind/image/{other}/after", params={"dag_id": "open"}).status_code == 403


def test_the_plugin_is_loaded_without_an_error(api: Api) -> None:
    admin = api("admin")
    errors = admin.get("/api/v2/plugins/importErrors").json()["import_errors"]
    assert errors == []
    (plugin,) = [one for one in admin.get("/api/v2/plugins").json()["plugins"] if one["name"] == "segmind"]
    assert [tab["destination"] for tab in plugin["react_apps"]] == ["nav", "dag_run", "task_instance"]
    assert len({tab["url_route"] for tab in plugin["react_apps"]}) == 3


def test_an_administrator_can_have_no_tabs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SEGMIND__UI_TABS", "False")
    assert SegmindPlugin().react_apps == []
    monkeypatch.setenv("AIRFLOW__SEGMIND__UI_TABS", "True")
    assert len(SegmindPlugin().react_apps) == 3


# Pictures


@pytest.mark.parametrize(("data", "kind"), [(PNG, "image/png"), (JPEG, "image/jpeg"), (WEBP, "image/webp")])
def test_a_picture_is_served_as_what_it_is_and_as_nothing_else(vera: Any, world: World, data: bytes, kind: str) -> None:
    path = world.swap({"after": world.file("named.html", data)})
    answer = vera.get(f"/segmind/image/{path}/after")
    assert (answer.status_code, answer.content) == (200, data)
    assert answer.headers["content-type"] == kind
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["cache-control"] == "private, max-age=300"
    assert answer.headers["referrer-policy"] == "same-origin"


def test_a_small_picture_is_served_where_there_is_one(vera: Any, world: World) -> None:
    record = {"before": world.file("b.png", PNG), "after": world.file("a.png", PNG)}
    path = world.swap({**record, "thumbs": {"after": world.file("a.webp", WEBP)}})
    (swap,) = swaps(vera)["swaps"]
    assert swap["pictures"]["reference"] is None
    got = {slot: vera.get(f"/segmind/{swap['pictures'][slot]['small']}").content for slot in ("before", "after")}
    assert got == {"before": PNG, "after": WEBP}
    assert vera.get(f"/segmind/image/{path}/after").content == PNG


def test_run_ids_with_signs_and_mapped_tasks_have_pictures(vera: Any, world: World) -> None:
    world.swap({"after": world.file("a.png", PNG)}, run_id="scheduled__2026-11-24T00:00:00+00:00", map_index=7)
    (swap,) = swaps(vera)["swaps"]
    assert "%2B00%3A00/swap/7" in swap["pictures"]["after"]["full"]
    assert vera.get(f"/segmind/{swap['pictures']['after']['full']}").status_code == 200


def test_a_task_that_is_not_mapped_is_found_by_what_airflow_leaves_in_its_address(vera: Any, world: World) -> None:
    world.swap({"after": world.file("a.png", PNG)})
    for index in ("-1", "{MAP_INDEX}", "undefined"):
        assert vera.get(f"/segmind/image/open/r1/swap/{index}/after").status_code == 200


@pytest.mark.parametrize("slot", ["items", "label", "to_json", "__class__", "Before"])
def test_there_are_three_pictures_and_no_other_attribute(vera: Any, world: World, slot: str) -> None:
    path = world.swap({"after": world.file("a.png", PNG), "items": world.file("m.jsonl", b"{}\n"), "label": "a"})
    assert vera.get(f"/segmind/image/{path}/{slot}").status_code == 404


def _outside(world: World) -> Iterator[tuple[str, Any]]:
    secret = world.folder.parent / "secret.png"
    secret.write_bytes(PNG)
    (world.folder / "link.png").symlink_to(secret)
    (world.folder / "away").symlink_to(world.folder.parent)
    os.mkfifo(world.folder / "pipe.png")
    (world.folder.parent / "shown-not").mkdir()
    (world.folder.parent / "shown-not" / "a.png").write_bytes(PNG)
    shown = f"file://{world.folder}"
    yield "a file outside", f"file://{secret}"
    yield "a path outside", str(secret)
    yield "a folder whose name begins alike", f"{shown}-not/a.png"
    yield "dots", f"{shown}/../secret.png"
    yield "encoded dots", f"{shown}/%2e%2e/secret.png"
    yield "dots that are encoded twice", f"{shown}/%252e%252e/secret.png"
    yield "encoded slash", f"{shown}/..%2fsecret.png"
    yield "backslashes", f"{shown}\\..\\secret.png"
    yield "a symlink", f"{shown}/link.png"
    yield "a folder that is a symlink", f"{shown}/away/secret.png"
    yield "a pipe", f"{shown}/pipe.png"
    yield "a host in a file's URI", f"file://elsewhere{world.folder}/a.png"
    yield "a line break", f"{shown}/a.png\n"
    yield "a chain of storages", f"{shown}/a::file://{secret}"
    yield "the folder itself", shown
    yield "no file", f"{shown}/none.png"
    yield "another bucket", "s3://other/looks/a.png"
    yield "the same bucket, elsewhere", "s3://bucket/other/a.png"
    yield "a bucket through another connection", "s3://admin@bucket/looks/a.png"
    yield "another storage with the same name", "gs://bucket/looks/a.png"
    yield "a service inside", "http://169.254.169.254/latest/meta-data"
    yield "Segmind's own URL", "https://images.segmind.com/a.png"
    yield "bytes in the URI", "data:image/png;base64,iVBORw0KGgo="
    yield "nothing", ""


def test_nothing_outside_the_named_folders_is_read(vera: Any, world: World) -> None:
    world.file("a.png", PNG)
    for what, uri in _outside(world):
        for record in ({"after": uri}, {"after": f"file://{world.folder}/none.png", "thumbs": {"after": uri}}):
            path = world.swap(record)
            for size in ("small", "full"):
                answer = vera.get(f"/segmind/image/{path}/after", params={"size": size})
                assert answer.status_code == 404, what
                assert PNG not in answer.content, what
                assert str(world.folder) not in answer.text, what


def test_the_browser_learns_no_uri(vera: Any, world: World) -> None:
    world.swap({"after": "s3://bucket/looks/a.png", "before": "s3://other/b.png", "items": "s3://other/m.jsonl"})
    answer = vera.get("/segmind/swaps")
    assert "s3:" not in answer.text
    (swap,) = answer.json()["swaps"]
    assert swap["pictures"]["before"] == {"full": None, "small": None}
    assert swap["items"] is None


@pytest.mark.parametrize(
    "data",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<!doctype html><script>alert(1)</script>",
        b"\xef\xbb\xbf<html>",
        b"GIF89a",
        b"%PDF-1.7",
        b"RIFF\x00\x00\x00\x00WAVE",
        b"",
    ],
)
def test_only_pictures_that_cannot_hold_a_script_are_served(vera: Any, world: World, data: bytes) -> None:
    path = world.swap({"after": world.file("a.png", data)})
    answer = vera.get(f"/segmind/image/{path}/after")
    assert answer.status_code == 415
    assert b"script" not in answer.content


def test_a_picture_of_half_a_gigabyte_is_not_read(vera: Any, world: World) -> None:
    path = world.swap({"after": world.file("huge.png", PNG)})
    with (world.folder / "huge.png").open("r+b") as file:
        file.truncate(500 * 2**20)
    began = time.monotonic()
    answer = vera.get(f"/segmind/image/{path}/after")
    assert answer.status_code == 413
    assert "500 MB" in answer.json()["detail"]
    assert time.monotonic() - began < 2


def test_without_roots_no_picture_is_shown_and_the_page_says_so(
    vera: Any, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = world.swap({"after": world.file("a.png", PNG)})
    for roots in ("", " , ", "/", "file:///", "s3://", "https://example.com/a"):
        monkeypatch.setenv("AIRFLOW__SEGMIND__GALLERY_ROOTS", roots)
        assert vera.get(f"/segmind/image/{path}/after").status_code == 404
        said = swaps(vera)
        assert said["has_roots"] is False, roots
        assert said["swaps"][0]["pictures"]["after"] == {"full": None, "small": None}


# Records


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
    stored = world.swap({"request_id": "q1", "after": after, "cost": 0.27, "seconds": 40}, task_id="store", at=now)
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
    assert said["dead"]["state"] == "failed"
    assert said["dead"]["checks"][0]["why"] == "The task failed before the swap had a result."


@pytest.mark.parametrize(
    ("run", "state"), [("running", "waiting"), ("queued", "waiting"), ("success", "completed"), ("failed", "failed")]
)
def test_nobody_waits_in_a_run_that_has_ended(vera: Any, world: World, run: str, state: str) -> None:
    world.swap({"state": "waiting"})
    world.task("success")
    world.run(run)
    assert swaps(vera)["swaps"][0]["state"] == state


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


def test_a_page_of_two_thousand_swaps_takes_one_query_and_less_than_a_second(vera: Any, world: World) -> None:
    from airflow import settings
    from sqlalchemy import event

    record = {
        "request_id": "0123456789abcdef",
        **{slot: f"s3://bucket/looks/2026-11-24/{slot}.png" for slot in ("before", "reference", "after")},
        "thumbs": {"after": "s3://bucket/looks/2026-11-24/after.thumb.webp"},
        "cost": 0.2687,
        "seconds": 41.5,
    }
    start = datetime(2026, 11, 1, tzinfo=UTC)
    world.swaps(
        ({**record, "request_id": f"q{n}"}, {"map_index": n, "at": start + timedelta(seconds=n)}) for n in range(2000)
    )
    statements: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        if "xcom" in statement.lower():
            statements.append(statement)

    event.listen(settings.engine, "before_cursor_execute", note)
    try:
        seen: list[int] = []
        seconds: list[float] = []
        for offset in range(0, 2000, 100):
            statements.clear()
            began = time.monotonic()
            said = swaps(vera, offset=offset, limit=100)
            seconds.append(time.monotonic() - began)
            assert len(statements) == 1
            assert said["total"] == 2000
            seen += [swap["map_index"] for swap in said["swaps"]]
    finally:
        event.remove(settings.engine, "before_cursor_execute", note)
    # The middle one, since whoever else uses the machine can hold up any of them.
    assert sorted(seconds)[len(seconds) // 2] < 1
    assert seen == list(range(1999, -1, -1))
    assert said["spent"] == pytest.approx(2000 * 0.2687)


# Batches


@pytest.fixture
def batch(world: World) -> str:
    """Return the place of a batch of 30 swaps, of which one failed and one line is none."""
    lines = []
    for n in range(30):
        picture, small = world.file(f"batch/{n}.png", PNG), world.file(f"batch/{n}.thumb.webp", WEBP)
        scene = world.file(f"scenes/{n}.jpg", JPEG)
        facts = {"id": f"look {n}", "cost": 0.27, "seconds": 40 + n, "inputs": {"character_image": scene}}
        sidecar = world.file(f"batch/{n}.json", json.dumps(facts).encode())
        files = [{"uri": picture, "thumbnail": small, "sidecar": sidecar}]
        lines.append(json.dumps({"request_id": f"q{n}", "uri": picture, "files": files}))
    lines[3] = json.dumps({"request_id": "q3", "uri": None, "files": [], "error": "The result is lost."})
    lines[4] = "{"
    manifest = world.file("batch/m.jsonl.stored.jsonl", "\n".join(lines).encode())
    return world.swap({"items": manifest, "cost": 8.1, "label": "night"})


def test_a_batch_shows_its_swaps_page_by_page(vera: Any, batch: str) -> None:
    (swap,) = swaps(vera)["swaps"]
    assert swap["batch"]
    answer = vera.get(f"/segmind/{swap['items']}", params={"offset": 0, "limit": 10}).json()
    assert (answer["total"], len(answer["swaps"])) == (30, 10)
    first, lost, none = answer["swaps"][0], answer["swaps"][3], answer["swaps"][4]
    assert (first["label"], first["cost"], first["seconds"], first["state"]) == ("look 0", 0.27, 40, "completed")
    assert vera.get(f"/segmind/{first['pictures']['after']['small']}").content == WEBP
    assert vera.get(f"/segmind/{first['pictures']['after']['full']}").content == PNG
    assert vera.get(f"/segmind/{first['pictures']['before']['full']}").content == JPEG
    assert lost["state"] == none["state"] == "failed"
    assert lost["checks"] == [{"name": "storing", "why": "The result is lost."}]
    last = vera.get(f"/segmind/{swap['items']}", params={"offset": 24, "limit": 24}).json()["swaps"]
    assert [item["index"] for item in last] == list(range(24, 30))
    for index in (30, -1, 10**9):
        assert vera.get(f"/segmind/items/{batch}/{index}/after").status_code == 404


@pytest.mark.parametrize(
    "line",
    [
        {"request_id": "q", "files": [{"uri": "/etc/passwd", "thumbnail": "/etc/passwd", "sidecar": "/etc/passwd"}]},
        {"request_id": "q", "files": ["/etc/passwd"]},
        {"request_id": "q", "files": [{"uri": {"a": 1}}]},
        {"request_id": ["q"], "files": "x", "error": {"a": "<script>"}},
        ["no", "row"],
    ],
)
def test_a_hostile_line_of_a_manifest_shows_nothing(vera: Any, world: World, line: Any) -> None:
    path = world.swap({"items": world.file("m.jsonl", json.dumps(line).encode())})
    (item,) = vera.get(f"/segmind/items/{path}").json()["swaps"]
    assert item["pictures"]["before"] is None
    for size in ("small", "full"):
        answer = vera.get(f"/segmind/items/{path}/0/after", params={"size": size})
        assert answer.status_code == 404
        assert "root:" not in answer.text


def test_a_hostile_sidecar_shows_nothing(vera: Any, world: World) -> None:
    secret = world.folder.parent / "secret.png"
    secret.write_bytes(PNG)
    sidecar = world.file("a.json", json.dumps({"inputs": {"character_image": f"file://{secret}"}}).encode())
    files = [{"uri": world.file("a.png", PNG), "sidecar": sidecar}]
    path = world.swap({"items": world.file("m.jsonl", json.dumps({"request_id": "q", "files": files}).encode())})
    (item,) = vera.get(f"/segmind/items/{path}").json()["swaps"]
    assert item["pictures"]["before"] == {"full": None, "small": None}
    assert vera.get(f"/segmind/items/{path}/0/before").status_code == 404
    assert vera.get(f"/segmind/items/{path}/0/after").status_code == 200


def test_a_manifest_outside_the_named_folders_is_not_read(vera: Any, world: World, tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"request_id": "q"}\n')
    path = world.swap({"items": f"file://{tmp_path}/m.jsonl"})
    assert vera.get(f"/segmind/items/{path}").status_code == 404


def test_a_manifest_that_was_read_is_not_shown_once_its_folder_is_no_longer_named(
    vera: Any, batch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert vera.get(f"/segmind/items/{batch}").status_code == 200
    monkeypatch.setenv("AIRFLOW__SEGMIND__GALLERY_ROOTS", "file:///elsewhere")
    assert vera.get(f"/segmind/items/{batch}").status_code == 404
