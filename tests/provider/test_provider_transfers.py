"""Results into storage: whole or not at all, once, with a sidecar, and none lost to another's fault."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import PIL
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.results import result_of
from airflow_provider_segmind.api.workflows import BODY_SWAP_WORKFLOW
from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.provenance.label import AI_COMPOSITE, source_type
from airflow_provider_segmind.provenance.signing import verify
from airflow_provider_segmind.storage.store import name_of
from airflow_provider_segmind.transfers.object_storage import SegmindToObjectStorageOperator
from tests.provenance.issued import issued
from tests.provider.odd_host import KEY, PICTURE, OddHost, own_host, picture
from tests.provider.running import context


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[OddHost]:
    with own_host(monkeypatch) as running:
        yield running


def result(host: OddHost, *paths: str, request_id: str = "r1") -> dict[str, Any]:
    outputs = [{"keyname": "swapped", "type": "image", "url": f"{host.url}/{path}?sig=secret"} for path in paths]
    return {"request_id": request_id, "outputs": outputs, "image_url": None}


def store(results: Any, destination: Path | str, **more: Any) -> Any:
    task = SegmindToObjectStorageOperator(task_id="store", results=results, destination=str(destination), **more)
    return json.loads(json.dumps(task.execute(context())))


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_swap_of_the_emulator_is_stored_as_it_is(emulator: Emulator, tmp_path: Path) -> None:
    hook = SegmindHook()
    inputs = {"character_image": emulator.sample("scene", 0), "reference_character_image": emulator.sample("person", 0)}
    job = hook.submit(BODY_SWAP_WORKFLOW, inputs)
    done = result_of(hook.wait(job.poll_url, poll_interval=0.05))
    stored = store(done, tmp_path)
    (entry,) = stored["files"]
    data = Path(entry["uri"].removeprefix("file://")).read_bytes()
    assert hashlib.sha256(data).hexdigest() == entry["sha256"]
    assert stored["request_id"] == done["request_id"]
    assert stored["uri"] == entry["uri"]
    assert len(files(tmp_path)) == 3
    assert not entry["skipped"]


def test_the_sidecar_says_where_a_picture_came_from_without_its_signature(host: OddHost, tmp_path: Path) -> None:
    (entry,) = store(result(host, "good"), tmp_path, details={"consent_reference": "c-17"})["files"]
    text = (tmp_path / "r1" / "swapped-0.json").read_text()
    said = json.loads(text)
    assert said["consent_reference"] == "c-17"
    assert said["source"] == f"{host.url}/good"
    assert said["source_sha256"] == hashlib.sha256(PICTURE).hexdigest()
    assert said["sha256"] == entry["sha256"]
    assert (said["width"], said["height"], said["size"]) == (900, 600, entry["size"])
    assert "secret" not in text
    assert KEY not in text


def test_a_thumbnail_is_upright_and_at_most_640_pixels(host: OddHost, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    host.pictures["/turned"] = picture("JPEG", exif=exif)
    (entry,) = store(result(host, "turned"), tmp_path)["files"]
    assert entry["uri"].endswith(".jpg")
    with Image.open(entry["thumbnail"].removeprefix("file://")) as small:
        assert (small.format, small.size) == ("WEBP", (427, 640))


def test_a_paid_picture_that_is_too_large_to_be_decoded_is_stored_without_a_thumbnail(
    host: OddHost, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = BytesIO()
    Image.new("1", (8000, 8001)).save(out, "PNG")
    webp = bytearray(picture("WEBP"))
    struct.pack_into("<HH", webp, webp.index(b"\x9d\x01\x2a") + 3, 14_000, 13_000)  # Pillow has a limit of its own
    for kind, data, size in (("png", out.getvalue(), (8000, 8001)), ("webp", bytes(webp), (14_000, 13_000))):
        host.pictures["/large"] = data
        (entry,) = store(result(host, "large"), tmp_path / kind)["files"]
        assert (entry["width"], entry["height"], entry["thumbnail"]) == (*size, None)
        assert files(tmp_path / kind) == {f"r1/swapped-0.{kind}", "r1/swapped-0.json"}
        assert f"is stored without being decoded: {size[0]} x {size[1]} pixels are too many" in caplog.text


@pytest.mark.parametrize("mode", ["I;16", "LA", "P", "1"])
def test_a_picture_of_any_mode_is_stored_with_a_thumbnail(host: OddHost, tmp_path: Path, mode: str) -> None:
    out = BytesIO()
    grey = Image.radial_gradient("L").resize((1300, 1300))
    (grey.convert("I").point(lambda value: value * 257).convert(mode) if mode == "I;16" else grey.convert(mode)).save(
        out, "PNG"
    )
    host.pictures["/odd"] = out.getvalue()
    (entry,) = store(result(host, "odd"), tmp_path)["files"]
    with Image.open(entry["thumbnail"].removeprefix("file://")) as small:
        assert small.size == (640, 640)
        low, high = small.convert("L").getextrema()
        assert (low, high) == (pytest.approx(0, abs=12), pytest.approx(255, abs=12))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_stored_picture_says_that_a_model_made_part_of_it_and_shows_the_same_pixels(
    host: OddHost, tmp_path: Path, kind: str
) -> None:
    host.pictures["/p"] = picture(kind)
    (entry,) = store(result(host, "p"), tmp_path)["files"]
    data = Path(entry["uri"].removeprefix("file://")).read_bytes()
    assert source_type(data, entry["media_type"]) == AI_COMPOSITE
    with Image.open(BytesIO(data)) as after, Image.open(BytesIO(host.pictures["/p"])) as before:
        assert after.tobytes() == before.tobytes()
    assert entry["labelled"] is json.loads((tmp_path / "r1" / "swapped-0.json").read_text())["labelled"] is True
    (plain,) = store(result(host, "p"), tmp_path / "plain", label_pictures=False)["files"]
    assert Path(plain["uri"].removeprefix("file://")).read_bytes() == host.pictures["/p"]
    assert not plain["labelled"]


def test_a_thumbnail_takes_the_place_of_no_other_picture(host: OddHost, tmp_path: Path) -> None:
    """The picture of ``x.thumb``, which another task stored, has the name of the thumbnail of ``x``."""
    host.pictures["/w"] = picture("WEBP")
    (first,) = store(result(host, "w"), tmp_path, name="x.thumb")["files"]
    taken = tmp_path / "x.thumb.webp"
    before = taken.read_bytes()
    (second,) = store(result(host, "good", request_id="r2"), tmp_path, name="x")["files"]
    assert taken.read_bytes() == before
    assert first["uri"] == str(taken)
    assert (second["uri"], second["thumbnail"]) == (str(tmp_path / "x.png"), None)
    assert json.loads((tmp_path / "x.json").read_text())["thumbnail"] is None
    assert store(result(host, "good", request_id="r2"), tmp_path, name="x")["files"][0]["skipped"]


@pytest.mark.skipif(
    version("apache-airflow").startswith("3.1."), reason="its fsspec moves a file into a folder that is in the way"
)
def test_a_configured_certificate_signs_what_is_stored_and_a_retry_knows_its_own_picture(
    host: OddHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "chain.pem").write_bytes(issued().certificate)
    (tmp_path / "key.pem").write_bytes(issued().key)
    monkeypatch.setenv("AIRFLOW__SEGMIND__SIGNING_CERTIFICATE", str(tmp_path / "chain.pem"))
    monkeypatch.setenv("AIRFLOW__SEGMIND__SIGNING_KEY", str(tmp_path / "key.pem"))
    in_the_way = tmp_path / "out" / "r1" / "swapped-0.thumb.webp"
    in_the_way.mkdir(parents=True)
    with pytest.raises(AirflowFailException, match="cannot be read or written"):
        store(result(host, "good"), tmp_path / "out")
    in_the_way.rmdir()
    before = (tmp_path / "out" / "r1" / "swapped-0.png").read_bytes()
    (entry,) = store(result(host, "good"), tmp_path / "out")["files"]
    assert (tmp_path / "out" / "r1" / "swapped-0.png").read_bytes() == before
    signature = verify(before, anchors=issued().anchor)
    assert signature is not None
    assert signature.state == "Trusted"
    assert (entry["labelled"], entry["signed"]) == (True, True)
    assert entry["sha256"] == hashlib.sha256(before).hexdigest()
    assert store(result(host, "good"), tmp_path / "out")["files"][0]["skipped"]


def test_lineage_names_what_was_fetched_and_what_was_stored(host: OddHost, tmp_path: Path) -> None:
    task = SegmindToObjectStorageOperator(
        task_id="store", results=result(host, "good"), destination=str(tmp_path), details={"consent_reference": "c-17"}
    )
    stored = task.execute(context())
    lineage = task.get_openlineage_facets_on_complete(None)
    assert [dataset.name for dataset in lineage.inputs] == ["/good"]
    assert [dataset.name for dataset in lineage.outputs] == [stored["uri"].removeprefix("file://")]
    assert lineage.run_facets["segmind_job"].consentReference == "c-17"


@pytest.mark.skipif(PIL.__version__ < "11", reason="Pillow 10 writes no XMP into a JPEG")
def test_a_picture_that_cannot_be_labelled_is_stored_as_it_came(host: OddHost, tmp_path: Path) -> None:
    host.pictures["/odd"] = broken = picture("JPEG", xmp=b"<no XML")
    (entry,) = store(result(host, "odd"), tmp_path)["files"]
    assert Path(entry["uri"].removeprefix("file://")).read_bytes() == broken
    assert not entry["labelled"]


def test_a_retry_fetches_nothing_that_is_stored_even_when_it_is_gone_at_segmind(host: OddHost, tmp_path: Path) -> None:
    host.pictures["/soon-gone"] = PICTURE
    first = store(result(host, "soon-gone"), tmp_path)
    del host.pictures["/soon-gone"]
    again = store(result(host, "soon-gone"), tmp_path)
    assert len(host.seen) == 1
    assert again["files"] == [{**first["files"][0], "skipped": True}]


def test_a_retry_completes_what_was_killed_before_its_sidecar(host: OddHost, tmp_path: Path) -> None:
    store(result(host, "good"), tmp_path)
    (tmp_path / "r1" / "swapped-0.json").unlink()
    assert store(result(host, "good"), tmp_path)["files"][0]["skipped"]
    assert (tmp_path / "r1" / "swapped-0.json").exists()


def test_other_content_is_never_overwritten(host: OddHost, tmp_path: Path) -> None:
    (tmp_path / "mine.png").write_bytes(b"my own")
    with pytest.raises(AirflowFailException, match="holds other content"):
        store(result(host, "good"), tmp_path, name="mine")
    assert (tmp_path / "mine.png").read_bytes() == b"my own"
    store(result(host, "good"), tmp_path, name="theirs")
    with pytest.raises(AirflowFailException, match="belongs to something else"):
        store(result(host, "good", request_id="r2"), tmp_path, name="theirs")


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("gone", AirflowFailException, "JobExpiredError: .*paid for and is lost"),
        ("html", SegmindError, "begins with '<html>"),
        ("garbage", SegmindError, "cannot be decoded"),
        ("moved", AirflowFailException, "is not fetched"),
    ],
)
def test_a_fault_leaves_nothing_behind_and_loses_no_other(
    host: OddHost, tmp_path: Path, path: str, kind: type[Exception], words: str
) -> None:
    host.redirect = "http://169.254.169.254/"
    with pytest.raises(kind, match=words):
        store(result(host, path), tmp_path / "alone")
    assert not (tmp_path / "alone").exists()
    many = [result(host, "good"), result(host, path, request_id="r2"), result(host, "good", request_id="r3")]
    with pytest.raises(kind, match="1 of 3 pictures could not be stored"):
        store(many, tmp_path / "all")
    assert {name.partition("/")[0] for name in files(tmp_path / "all")} == {"r1", "r3"}


def test_a_list_gives_a_list(host: OddHost, tmp_path: Path) -> None:
    stored = store([result(host, "good", "good"), result(host, "good", request_id="r2")], tmp_path, thumbnails=False)
    assert [row["request_id"] for row in stored] == ["r1", "r2"]
    assert [len(row["files"]) for row in stored] == [2, 1]
    assert len(files(tmp_path)) == 6


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "{nowhere}"}, r"unknown field \{nowhere\}; known are \{request_id\}"),
        ({"name": "{request_id.__class__}"}, "unknown field"),
        ({"name": "../{request_id}"}, r"'\.\.' part"),
        ({"name": "/{request_id}"}, "absolute"),
        ({"name": "{request_id"}, "cannot be read as a template"),
        ({"name": "{id}"}, "which is None here"),
        ({"name": "one"}, "Two outputs would get the name"),
        ({"destination": " "}, "destination is ' '"),
        ({"results": 7}, "results is 7"),
        ({"results": "text"}, "results 'text' cannot be read"),
        ({"results": [{"request_id": "x"}]}, "entry 0"),
        ({"results": {"request_id": "x", "outputs": [{"keyname": "a"}]}}, "has no url"),
        ({"results": {"request_id": "x", "outputs": []}}, "nothing to store"),
    ],
)
def test_bad_parameters_fail_before_anything_is_fetched(
    host: OddHost, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    parameters = {"results": result(host, "good", "good"), "destination": tmp_path, **changes}
    with pytest.raises(AirflowFailException, match=words):
        store(**parameters)
    assert host.seen == []
    assert files(tmp_path) == set()


@given(st.text(min_size=1))
def test_no_value_leaves_the_destination(value: str) -> None:
    try:
        name = name_of("a/{keyname}/b", {"keyname": value})
    except ValueError:
        return
    first, middle, last = name.split("/")
    assert (first, last) == ("a", "b")
    assert middle not in ("", ".", "..")
    assert len(middle) <= 100
