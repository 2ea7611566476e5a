"""The swaps of a batch, page by page: hostile manifests and sidecars show nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.plugin.world import JPEG, PNG, WEBP, World, swaps


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
    assert lost["checks"] == [{"name": "storing", "why": "The result is lost.", "words": ""}]
    last = vera.get(f"/segmind/{swap['items']}", params={"offset": 24, "limit": 24}).json()["swaps"]
    assert [item["index"] for item in last] == list(range(24, 30))
    for index in (30, -1, 10**9):
        assert vera.get(f"/segmind/items/{batch}/{index}/after").status_code == 404


def test_a_swap_without_an_id_of_its_own_has_the_name_of_its_photograph(vera: Any, world: World) -> None:
    picture = world.file("batch/1.png", PNG)
    sidecar = world.file("batch/1.json", b'{"inputs": {"character_image": "s3://b/tuesday.jpg"}}')
    rows: list[dict[str, Any]] = [{"character_image": "https://a.example/monday.jpg?sig=1"}, {}, {"id": "look 3"}]
    rows[1]["files"] = [{"uri": picture, "sidecar": sidecar}]
    manifest = world.file("batch/m.jsonl.stored.jsonl", "\n".join(map(json.dumps, rows)).encode())
    said = vera.get(f"/segmind/items/{world.swap({'items': manifest})}").json()["swaps"]
    assert [item["label"] for item in said] == ["monday.jpg", "tuesday.jpg", "look 3"]


CHECK = {"name": "proportions", "verdict": "fail", "why": "It is 12 % wider."}


def test_a_swap_of_a_batch_shows_which_checks_it_failed(vera: Any, world: World) -> None:
    """The first swap of the batch had no picture, so that lines and swaps have other numbers."""
    picture = world.file("batch/1.png", PNG)
    line = {"request_id": "q1", "uri": picture, "files": [{"uri": picture}], "row": 1}
    manifest = world.file("batch/m.jsonl.stored.jsonl", json.dumps(line).encode())
    passed = {"name": "blank", "verdict": "pass", "why": "It is not."}
    reports = [{"index": 0, "reasons": ["no picture"]}, {"index": 1, "report": {"checks": [passed, CHECK]}}]
    world.file("batch/m.jsonl.checks.jsonl", "\n".join(map(json.dumps, reports)).encode())
    (item,) = vera.get(f"/segmind/items/{world.swap({'items': manifest})}").json()["swaps"]
    assert (item["state"], item["checks"]) == ("completed", [{"name": CHECK["name"], "why": CHECK["why"], "words": ""}])


@pytest.mark.parametrize(
    "said",
    [
        {"report": 7},
        {"report": {"checks": 7}},
        {"report": {"checks": [7, {"verdict": "pass"}]}},
        [],
        {"report": {"checks": [{**CHECK, "verdict": "passed"}]}},
    ],
)
def test_what_is_no_report_of_a_check_is_passed_over(vera: Any, world: World, said: Any) -> None:
    picture = world.file("batch/0.png", PNG)
    lines = [{"request_id": "q", "files": [{"uri": picture}], "row": row} for row in (0, 1, -1, "0", None)]
    manifest = world.file("batch/m.jsonl.stored.jsonl", "\n".join(map(json.dumps, lines)).encode())
    world.file("batch/m.jsonl.checks.jsonl", json.dumps(said).encode())
    items = vera.get(f"/segmind/items/{world.swap({'items': manifest})}").json()["swaps"]
    assert [(item["state"], item["checks"]) for item in items] == [("completed", [])] * 5


@pytest.mark.parametrize("count", [1, 25])
def test_many_failed_checks_and_long_words_are_cut(vera: Any, world: World, count: int) -> None:
    picture = world.file("batch/0.png", PNG)
    line = {"request_id": "q", "files": [{"uri": picture}], "row": 0, "error": "x" * 1000}
    manifest = world.file("batch/m.jsonl.stored.jsonl", json.dumps(line).encode())
    report = {"report": {"checks": [{"name": "n" * 1000, "verdict": "fail", "why": "w" * 1000}] * count}}
    world.file("batch/m.jsonl.checks.jsonl", json.dumps(report).encode())
    (item,) = vera.get(f"/segmind/items/{world.swap({'items': manifest})}").json()["swaps"]
    assert item["state"] == "completed"
    assert len(item["checks"]) == min(count + 1, 20)
    assert {len(check["why"]) for check in item["checks"]} == {300}


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
