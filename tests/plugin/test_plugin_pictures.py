"""Which pictures the gallery serves, and how: hostile records lead to none."""

from __future__ import annotations

import json
import os
import threading
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from tests.plugin.world import JPEG, PNG, WEBP, World, swaps
from tests.provider.s3 import s3_bucket


@pytest.mark.parametrize(("data", "kind"), [(PNG, "image/png"), (JPEG, "image/jpeg"), (WEBP, "image/webp")])
def test_a_picture_is_served_as_what_it_is_and_as_nothing_else(vera: Any, world: World, data: bytes, kind: str) -> None:
    path = world.swap({"after": world.file("named.html", data)})
    answer = vera.get(f"/segmind/image/{path}/after")
    assert (answer.status_code, answer.content) == (200, data)
    assert answer.headers["content-type"] == kind
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert answer.headers["referrer-policy"] == "same-origin"


def test_a_browser_keeps_no_picture_that_a_clear_has_replaced(vera: Any, world: World) -> None:
    def shown(request_id: str) -> str:
        path = world.swap({"after": world.file("a.png", PNG), "request_id": request_id})
        assert vera.get(f"/segmind/image/{path}/after").headers["cache-control"] == "private, no-cache"
        return str(swaps(vera)["swaps"][0]["pictures"]["after"]["full"])

    first, second = shown("q1"), shown("q2")
    assert first != second
    assert vera.get(f"/segmind/{second}").headers["cache-control"] == "private, max-age=300"


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
    tracemalloc.start()
    try:
        answer = vera.get(f"/segmind/image/{path}/after")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status_code == 413
    assert "500 MB" in answer.json()["detail"]
    assert peak < 32 * 2**20


def test_a_picture_that_is_not_taken_by_the_browser_takes_no_memory_of_the_server(world: World) -> None:
    from airflow_provider_segmind.gallery.pictures import MAX_PICTURE, read_chunks
    from airflow_provider_segmind.gallery.roots import roots

    uri = world.file("large.png", PNG + bytes(30 * 2**20))
    folders = roots().of("open", None)
    tracemalloc.start()
    try:
        waiting = [read_chunks(uri, folders, MAX_PICTURE) for _ in range(20)]
        begun = [next(chunks) for chunks in waiting]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert all(chunk.startswith(PNG) for chunk in begun)
    assert peak < 40 * 2**20, "20 pictures of 30 MB"
    assert sum(map(len, waiting[0])) + len(begun[0]) == len(PNG) + 30 * 2**20
    del waiting  # nobody wants the rest of them


def test_a_picture_and_a_batch_of_a_bucket_are_read_bit_by_bit(
    vera: Any, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = PNG + os.urandom(9 * 2**20)
    with s3_bucket(monkeypatch) as bucket:
        shown = f"s3://{bucket.name}/open"
        monkeypatch.setenv("AIRFLOW__SEGMIND__GALLERY_ROOTS", f"s3://{bucket.name}/{{dag_id}}")
        bucket.put_object(Key="open/a.png", Body=picture)
        bucket.put_object(Key="other/a.png", Body=PNG)
        lines = [json.dumps({"request_id": f"q{n}", "files": [{"uri": f"{shown}/a.png"}]}) for n in range(30_000)]
        bucket.put_object(Key="open/m.jsonl", Body="\n".join(lines).encode())
        path = world.swap({"after": f"{shown}/a.png", "items": f"{shown}/m.jsonl"})
        assert vera.get(f"/segmind/image/{path}/after").content == picture
        page = vera.get(f"/segmind/items/{path}", params={"offset": 29_999}).json()
        assert (page["total"], [item["request_id"] for item in page["swaps"]]) == (30_000, ["q29999"])
        assert vera.get(f"/segmind/items/{path}/29999/after").content == picture
        for uri in (f"s3://{bucket.name}/other/a.png", f"{shown}/none.png"):
            path = world.swap({"after": uri}, task_id="other")
            assert vera.get(f"/segmind/image/{path}/after").status_code == 404


def test_a_folder_that_becomes_a_link_while_it_is_read_leads_nowhere(vera: Any, world: World) -> None:
    """Somebody who may write below a folder that is shown swaps one for a link, and back, as fast as they can."""
    inside, away = world.folder / "looks", world.folder.parent / "private"
    for folder, data in ((inside, PNG), (away, JPEG)):
        folder.mkdir()
        (folder / "a.png").write_bytes(data)
    link, spare = world.folder / "link", world.folder / "spare"
    link.symlink_to(away)
    path = world.swap({"after": f"file://{inside}/a.png"})
    over = threading.Event()

    def swap_for_ever() -> None:
        while not over.is_set():
            inside.rename(spare)
            link.rename(inside)
            inside.rename(link)
            spare.rename(inside)

    swapping = threading.Thread(target=swap_for_ever)
    swapping.start()
    try:
        answers = [_read(f"file://{inside}/a.png") for _ in range(5_000)]
    finally:
        over.set()
        swapping.join()
    assert JPEG not in answers
    assert vera.get(f"/segmind/image/{path}/after").content == PNG


def _read(uri: str) -> bytes | None:
    from airflow_provider_segmind.gallery.pictures import PictureError, read_allowed
    from airflow_provider_segmind.gallery.roots import roots

    try:
        return bytes(read_allowed(uri, roots().of("open", None), 2**20))
    except PictureError:
        return None


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
