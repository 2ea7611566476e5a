"""Photographs as people have them, on the real operators: whole before anything is paid for, prepared, or named."""

from __future__ import annotations

import base64
import io
import random
import re
import struct
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image

from airflow_provider_segmind.api import media
from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.files import pictures
from airflow_provider_segmind.files.pictures import look_at_picture, read_picture
from airflow_provider_segmind.operators.body_swap import SubmitBodySwapOperator
from airflow_provider_segmind.quality import prepare as preparing
from airflow_provider_segmind.quality.inspect import check_input
from airflow_provider_segmind.transfers.object_storage import (
    ObjectStorageToSegmindOperator,
)
from tests.provider.batches import Batch, at_once, swaps  # noqa: F401 - a fixture for every test
from tests.provider.running import context
from tests.provider.test_provider_decorator import Tried
from tests.quality import profiles
from tests.quality.drawing import encoded, opened, scene
from tests.quality.phones import exif, flipped, house
from tests.quality.test_quality_told_colours import camera, png_with

PAGE = Path(__file__).parents[2] / "docs" / "pictures.md"
SENT = ("PNG", "JPEG", "WebP")
PREPARED = {
    row[0].strip(): row[1].strip().strip("`")
    for row in (line.split("|")[1:-1] for line in PAGE.read_text().splitlines() if line[:2] == "| ")
    if "`prepare" not in row[0]
}
"""What is prepared, and in which words, from the table of the page."""
REFUSED = {
    "HEIC without the extra `heic`": "run pip install 'airflow-provider-segmind[heic]'",
    "GIF": "is a GIF",
    "TIFF or camera's raw file": "is a TIFF or a camera's raw file",
    "BMP": "is a BMP",
    "Photoshop": "is a Photoshop file",
    "JPEG XL": "is a JPEG XL",
    "JPEG 2000": "is a JPEG 2000",
    "SVG": "is an SVG",
    "PDF": "is a PDF",
    "film": "is a film",
    "icon": "is an icon",
    "EPS": "is an EPS",
    "`._` file of a Mac": "is a Mac's notes on another file",
    "base64 text": "is a picture as base64 text",
    "web page": "is a web page",
    "error of a storage": "is an XML text",
    "JSON": "is a JSON text",
    "archive": "is an archive",
    "Git LFS pointer": "is a pointer of Git LFS",
    "empty file": "is an empty file",
    "zeros only": "is a file of zeros",
    "anything else": "is not a PNG, JPEG or WebP picture",
    "cut off": "a part is missing",
    "damaged": "it is cut off or damaged",
    "HDR (PQ or HLG) by its numbers": "it is HDR",
    "more than 64 million pixels (256 million in a JPEG that is not progressive)": "pixels are too many",
    "more than 200 MiB": "is larger than 200 MiB",
}
"""What is refused, with words of the error, by how the page calls it."""


def noisy() -> Image.Image:
    return Image.effect_noise((600, 900), 60).convert("RGB")


def cut() -> bytes:
    whole = encoded(house(), "JPEG")
    return whole[: len(whole) * 6 // 10]


def damaged() -> bytes:
    whole = bytearray(encoded(house()))
    whole[len(whole) // 2 : len(whole) // 2 + 64] = bytes(64)
    return bytes(whole)


def several() -> bytes:
    out = io.BytesIO()
    house().save(out, "MPO", save_all=True, append_images=[noisy()])
    return out.getvalue()


def hdr(kind: str) -> bytes:
    data = bytearray(encoded(house(), kind))
    struct.pack_into(">HH", data, data.index(b"colrnclx") + 8, 9, 16)
    return bytes(data)


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.jpg", encoded(house(), "JPEG"))
    return out.getvalue()


MADE: dict[str, tuple[Callable[[], bytes], ...]] = {
    "PNG": (lambda: encoded(house()), lambda: encoded(house().convert("L"))),
    "JPEG": (lambda: encoded(house(), "JPEG"), lambda: encoded(house(), "JPEG", progressive=True)),
    "WebP": (lambda: encoded(house(), "WEBP"), lambda: encoded(house().convert("RGBA"), "WEBP", lossless=True)),
    "turned by its EXIF": tuple(
        lambda kind=kind, way=way: encoded(house(), kind, exif=exif(way))
        for kind, way in (("JPEG", 6), ("JPEG", 3), ("PNG", 8), ("WEBP", 5))
    ),
    "Display P3, Adobe RGB or ProPhoto by its profile": tuple(
        lambda kind=kind, profile=profile: encoded(house(), kind, icc_profile=profile)
        for kind, profile in zip(("JPEG", "PNG", "WEBP"), profiles.WIDE.values(), strict=True)
    ),
    "Adobe RGB by its EXIF; gamma or primaries of a PNG": (
        lambda: encoded(house(), "JPEG", exif=camera("R03")),
        lambda: png_with(house(), (b"gAMA", struct.pack(">I", 100_000))),
    ),
    "CMYK": (
        lambda: encoded(house().convert("CMYK"), "JPEG"),
        lambda: encoded(house().convert("CMYK"), "JPEG", icc_profile=profiles.press()),
    ),
    "16 bits for each channel": (lambda: encoded(house().convert("L").convert("I;16")),),
    "palette, one bit, or grey with transparency": (
        *(lambda mode=mode: encoded(house().convert(mode)) for mode in ("P", "1", "LA")),
        lambda: encoded(house().convert("L"), transparency=7),
    ),
    "several in one JPEG (MPO, Ultra HDR)": (several,),
    "animated WebP or PNG": tuple(
        lambda kind=kind: encoded(house(), kind, save_all=True, append_images=[noisy()], duration=100)
        for kind in ("WEBP", "PNG")
    ),
    "a side of more than 4096 pixels": (
        lambda: encoded(scene(5000, 600), "JPEG"),
        lambda: encoded(scene(600, 8192), "JPEG"),
        lambda: encoded(scene(4097, 300)),
    ),
    "more than 50 and up to 200 MiB": (lambda: encoded(noisy()),),
    "AVIF": (lambda: encoded(house(), "AVIF"),),
    "HEIC": (lambda: encoded(house(), "HEIF"), lambda: encoded(house(), "HEIF", tile_size=256)),
    "HEIC without the extra `heic`": (lambda: encoded(house(), "HEIF"),),
    "GIF": (lambda: encoded(house(), "GIF"),),
    "TIFF or camera's raw file": (
        lambda: encoded(house(), "TIFF"),
        lambda: encoded(house().convert("CMYK"), "TIFF", compression="tiff_lzw"),
        lambda: b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(64),
    ),
    "BMP": (lambda: encoded(house(), "BMP"),),
    "Photoshop": (lambda: b"8BPS\0\1" + bytes(64),),
    "JPEG XL": (lambda: b"\xff\x0a" + bytes(64), lambda: b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(64)),
    "JPEG 2000": (lambda: encoded(house(), "JPEG2000"),),
    "SVG": (lambda: b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', lambda: b"<svg/>"),
    "PDF": (lambda: encoded(house(), "PDF"),),
    "film": (lambda: b"\0\0\0\x18ftypqt  \0\0\0\0qt  " + bytes(64), lambda: b"\0\0\0\x18ftypisom" + bytes(64)),
    "icon": (lambda: encoded(house().resize((64, 64)), "ICO"),),
    "EPS": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0" + bytes(64),),
    "`._` file of a Mac": (lambda: b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(64),),
    "base64 text": (lambda: base64.b64encode(encoded(house(), "JPEG")), lambda: b"data:image/png;base64,iVBORw0KGgo="),
    "web page": (
        lambda: b"<!doctype html><html>Sign in</html>",
        lambda: b"\n <HTML><body>",
        lambda: b"\xef\xbb\xbf<!DOCTYPE html>",
    ),
    "error of a storage": (
        lambda: b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
        lambda: b"<Error><Code>AccessDenied</Code></Error>",
    ),
    "JSON": (lambda: b'{"error": "expired"}', lambda: b"[]"),
    "archive": (zipped, lambda: b"\x1f\x8b\x08" + bytes(64)),
    "Git LFS pointer": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a",),
    "empty file": (lambda: b"",),
    "zeros only": (lambda: bytes(5000),),
    "anything else": (lambda: b"a text", lambda: random.Random(3).randbytes(5000)),  # noqa: S311
    "cut off": (
        cut,
        lambda: cut().ljust(20_000, b"\0"),
        lambda: encoded(house(), "HEIF")[:-500],
        lambda: encoded(house(), "AVIF")[:-50],
        lambda: encoded(noisy())[:-5000],
        lambda: encoded(house())[:-12],
    ),
    "damaged": (
        damaged,
        lambda: encoded(noisy(), "WEBP").replace(b"\n", b"\r\n"),
        lambda: encoded(house(), "WEBP")[:-500],
        lambda: flipped(encoded(house())),
    ),
    "HDR (PQ or HLG) by its numbers": (lambda: hdr("HEIF"), lambda: hdr("AVIF")),
    "more than 64 million pixels (256 million in a JPEG that is not progressive)": (
        lambda: encoded(Image.new("1", (8001, 8000))),
        lambda: encoded(Image.new("L", (8001, 8000)), "JPEG", progressive=True),
    ),
    "more than 200 MiB": (lambda: encoded(noisy()),),
}
SMALL = {"more than 50 and up to 200 MiB": "MAX_BYTES", "more than 200 MiB": "MAX_ORIGINAL"}
"""Limits that such a file is beyond, for the tests."""
LIMIT = 500_000


def given(path: Path, emulator: Emulator) -> dict[str, str]:
    return {"character_image": str(path), "reference_character_image": emulator.sample("person", 1)}


def submit(path: Path, emulator: Emulator, **more: Any) -> SubmitBodySwapOperator:
    return SubmitBodySwapOperator(task_id="t", **given(path, emulator), **more)


def test_the_page_and_the_tests_have_the_same_pictures() -> None:
    assert [*SENT, *PREPARED, *REFUSED] == list(MADE)
    text = PAGE.read_text().partition("**Refused**")[2].partition("\n\nA refusal")[0]
    named = [name for line in re.findall(r"^\* (.*)", text, re.MULTILINE) for name in re.split(r"[,;] ", line)]
    assert named
    assert sorted(named) == sorted(REFUSED)


CASES = [
    pytest.param(happens, words, name, make, id=f"{name} {number}")
    for happens, kinds in (("sent as it is", dict.fromkeys(SENT, "")), ("prepared", PREPARED), ("refused", REFUSED))
    for name, words in kinds.items()
    for number, make in enumerate(MADE[name])
]


@pytest.mark.parametrize(("happens", "words", "name", "make"), CASES)
def test_what_the_page_says_happens(
    emulator: Emulator,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    happens: str,
    words: str,
    name: str,
    make: Callable[[], bytes],
) -> None:
    data = make()
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    if name in SMALL:
        for module in (media, pictures):
            monkeypatch.setattr(module, SMALL[name], LIMIT)
        words = words.replace("200 MiB", f"{LIMIT // 2**20} MiB")
    if "without the extra" in name:
        monkeypatch.setitem(sys.modules, "pillow_heif", None)
    if happens == "refused":
        with pytest.raises(AirflowFailException) as error:
            submit(path, emulator).execute(context())
        said = str(error.value)
        assert words in said
        assert f"character_image {str(path)!r}" in said
        assert re.search(r"(: [a-z]|\. [A-Z])[^.]*\.?$", said), "it ends in what to do"
        assert emulator.requests == ()
        assert check_input(data, qa=False).verdict == "fail" or name in SMALL
        return
    handle = submit(path, emulator).execute(context())
    (charge,) = emulator.charges
    answer = requests.get(charge.inputs["character_image"], timeout=10)
    assert answer.headers["content-type"] == media.media_type_of(answer.content)
    assert check_input(data, qa=False).checks[0].verdict == "pass"
    if happens == "sent as it is":
        assert answer.content == data
        assert "prepared" not in handle
        return
    done = handle["prepared"]["character_image"]
    assert list(handle["prepared"]) == ["character_image"]
    assert any(word.startswith(words.removesuffix("4096")) for word in done)
    sent = opened(answer.content)
    assert sent.mode in ("RGB", "RGBA")
    assert max(sent.size) <= preparing.SIDE
    assert not sent.getexif()
    assert "icc_profile" not in sent.info


@pytest.mark.parametrize("make", [lambda: b"\xff\xd8\xff\xe0\0\x10JFIF\0", cut], ids=["12 bytes", "60 %"])
@pytest.mark.parametrize("kind", ["single", "batch", "decorator", "decorated list", "upload", "sign"])
def test_nobody_uploads_or_pays_for_a_part_of_a_picture(
    emulator: Emulator, tmp_path: Path, kind: str, make: Callable[[], bytes]
) -> None:
    path = tmp_path / "cut.jpg"
    path.write_bytes(make())
    good = swaps(emulator, 3)
    swap = given(path, emulator)
    work: dict[str, Callable[[], Any]] = {
        "single": lambda: submit(path, emulator, prepare="never").execute(context()),
        "batch": lambda: Batch(emulator, tmp_path, swaps=[*good, swap]).attempt(),
        "decorator": lambda: Tried(lambda: swap).attempt(),
        "decorated list": lambda: Tried(lambda: [*good, swap], results_uri=str(tmp_path / "r.jsonl")).attempt(),
        "upload": lambda: ObjectStorageToSegmindOperator(task_id="t", source=str(path)).execute(context()),
        "sign": lambda: ObjectStorageToSegmindOperator(task_id="t", source=str(path), share="sign").execute(context()),
    }
    with pytest.raises(AirflowFailException) as error:
        work[kind]()
    assert "cut.jpg" in str(error.value)
    assert "copy the file again" in str(error.value)
    assert ("item 3: character_image" in str(error.value)) == (kind in ("batch", "decorated list"))
    assert not [request for request in emulator.requests if request.method == "POST"]


def test_a_batch_names_each_line_and_looks_at_each_picture_once(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    read = preparing.reading.read

    def counted(data: bytes, *more: Any) -> Any:
        looked.append(len(data))
        return read(data, *more)

    monkeypatch.setattr(preparing.reading, "read", counted)
    emulator.set(job_seconds=0)
    for name, data in (("good.png", encoded(house())), ("cut.jpg", cut()), ("page.jpg", b"<html>")):
        (tmp_path / name).write_bytes(data)
    good = swaps(emulator, 10)
    for swap in good:
        swap["reference_character_image"] = str(tmp_path / "good.png")
    bad = [{**good[4], "id": "x"}, {**good[7], "id": "y"}]
    for swap, name in zip(bad, ("cut.jpg", "page.jpg"), strict=True):
        swap["character_image"] = str(tmp_path / name)
    with pytest.raises(AirflowFailException) as error:
        Batch(emulator, tmp_path, swaps=[*good, *bad]).attempt()
    assert re.search(r"item 10: character_image '[^']*cut\.jpg'.*a part is missing", str(error.value))
    assert re.search(r"item 11: character_image '[^']*page\.jpg' is a web page", str(error.value))
    assert not emulator.charges
    looked.clear()
    pictures._checked.clear()
    assert Batch(emulator, tmp_path, swaps=good).attempt()["completed"] == 10
    assert len(looked) == 1, "it is decoded for the check, and not again for the upload"


def test_never_sends_unchanged_and_converts_nothing(emulator: Emulator, tmp_path: Path) -> None:
    data = encoded(house(), "JPEG", exif=exif(6), icc_profile=profiles.ADOBE_RGB)
    (tmp_path / "a.jpg").write_bytes(data)
    handle = submit(tmp_path / "a.jpg", emulator, prepare="never").execute(context())
    assert "prepared" not in handle
    assert requests.get(emulator.charges[0].inputs["character_image"], timeout=10).content == data
    (tmp_path / "a.heic").write_bytes(encoded(house(), "HEIF"))
    with pytest.raises(AirflowFailException, match="converted only with prepare='auto'"):
        submit(tmp_path / "a.heic", emulator, prepare="never").execute(context())
    with pytest.raises(InvalidRequestError, match="prepare is 'always': set it to 'auto' or 'never'"):
        submit(tmp_path / "a.jpg", emulator, prepare="always")
    upload = ObjectStorageToSegmindOperator(task_id="t", source=str(tmp_path / "a.heic"))
    assert requests.get(upload.execute(context()), timeout=10).headers["content-type"] == "image/jpeg"
    with pytest.raises(AirflowFailException, match="or share='upload'"):
        ObjectStorageToSegmindOperator(task_id="t", source=upload.source, share="sign").execute(context())


@pytest.mark.parametrize("kind", ["GIF", "AVIF", "HEIF", "TIFF", "BMP", "PNG", "JPEG", "WEBP", "JPEG2000", "TGA"])
def test_check_order_and_batch_agree_on_formats(tmp_path: Path, kind: str) -> None:
    data = encoded(house(), kind)
    (tmp_path / "a").write_bytes(data)
    passes = check_input(data, encoded(noisy()), qa=False).verdict == "pass"
    for work in (read_picture, look_at_picture):
        try:
            work("character_image", str(tmp_path / "a"))
            ordered = True
        except InvalidRequestError:
            ordered = False
        assert passes == ordered
