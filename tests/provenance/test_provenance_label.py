"""A label says that a model made part of a picture, and changes nothing else in the file."""

from __future__ import annotations

import json
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageSequence

from airflow_provider_segmind.provenance.label import AI_COMPOSITE, label, source_type
from tests.cluster.programs import find, install
from tests.provenance.drawn import JPEG, PNG, WEBP, picture, pictures, saved

NAMED = [pytest.param(*file, id=name) for name, file in pictures().items()]
_SUFFIXES = {JPEG: ".jpg", PNG: ".png", WEBP: ".webp"}


def shown(data: bytes) -> list[tuple[str, tuple[int, int], bytes]]:
    with Image.open(BytesIO(data)) as image:
        return [(frame.mode, frame.size, frame.tobytes()) for frame in ImageSequence.Iterator(image)]


def kept(data: bytes) -> dict[str, Any]:
    with Image.open(BytesIO(data)) as image:
        image.load()
        return {key: image.info.get(key) for key in ("exif", "icc_profile", "dpi", "duration", "loop", "transparency")}


@pytest.mark.parametrize(("data", "media_type"), NAMED)
def test_the_label_is_read_back_and_pixels_and_other_metadata_are_the_same(data: bytes, media_type: str) -> None:
    labelled = label(data, media_type)
    assert source_type(data, media_type) is None
    assert source_type(labelled, media_type) == AI_COMPOSITE
    assert shown(labelled) == shown(data)
    assert kept(labelled) == kept(data)
    assert 0 < len(labelled) - len(data) < 700


@pytest.mark.parametrize(("data", "media_type"), NAMED)
def test_pillow_reads_the_label_as_an_independent_reader(data: bytes, media_type: str) -> None:
    with Image.open(BytesIO(label(data, media_type))) as image:
        image.load()
        assert AI_COMPOSITE.encode() in image.info["xmp"]


@pytest.mark.parametrize(("data", "media_type"), NAMED)
def test_a_labelled_picture_comes_back_as_it_is(data: bytes, media_type: str) -> None:
    labelled = label(data, media_type)
    assert label(labelled, media_type) == labelled


@pytest.mark.parametrize(("data", "media_type"), NAMED)
def test_every_byte_of_the_original_is_still_there_in_order(data: bytes, media_type: str) -> None:
    """Only the sizes and flags of a WebP's own header change; in the others one piece is inserted."""
    labelled = label(data, media_type)
    if media_type == WEBP:
        rest = data[30:] if data[12:16] == b"VP8X" else data[12:]
        assert rest in labelled
    else:
        same = next(place for place, (old, new) in enumerate(zip(data, labelled, strict=False)) if old != new)
        assert labelled.endswith(data[same:])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_what_follows_the_picture_in_the_file_stays(kind: str) -> None:
    data = saved(picture(), kind) + b"a trailer"
    labelled = label(data, f"image/{kind.lower()}")
    assert labelled.endswith(b"a trailer")
    assert shown(labelled) == shown(data)


def test_exif_and_jfif_stay_first_in_a_jpeg() -> None:
    data, media_type = pictures()["jpeg, EXIF and ICC"]
    labelled = label(data, media_type)
    places = [labelled.index(mark) for mark in (b"JFIF\0", b"Exif\0", b"http://ns.adobe.com/xap/", b"ICC_PROFILE\0")]
    assert places == sorted(places)


def test_a_label_in_a_png_stands_before_its_picture() -> None:
    data, media_type = pictures()["png, animated"]
    labelled = label(data, media_type)
    assert labelled.index(b"XML:com.adobe.xmp") < labelled.index(b"acTL") < labelled.index(b"IDAT")


def test_a_media_type_may_have_parameters_and_capitals() -> None:
    data, _ = pictures()["jpeg"]
    assert source_type(label(data, "Image/JPEG; charset=binary"), JPEG) == AI_COMPOSITE


def exiftool() -> Path:
    """Return exiftool, which pip cannot install; Pillow is the second reader in any case."""
    try:
        return find("exiftool") or install("libimage-exiftool-perl", "exiftool")
    except RuntimeError as missing:
        pytest.skip(f"The labels were checked by Pillow alone: {missing}")


def test_exiftool_finds_nothing_wrong_with_any_labelled_picture(tmp_path: Path) -> None:
    for number, (data, media_type) in enumerate(pictures().values()):
        suffix = _SUFFIXES[media_type]
        (tmp_path / f"{number:02d}-after{suffix}").write_bytes(label(data, media_type))
        (tmp_path / f"{number:02d}-before{suffix}").write_bytes(data)
    answer = subprocess.run(
        [exiftool(), "-json", "-validate", "-warning", "-a", "-XMP-iptcExt:DigitalSourceType#", str(tmp_path)],
        capture_output=True,
        check=True,
        text=True,
    )
    read = {Path(file.pop("SourceFile")).name: file for file in json.loads(answer.stdout)}
    assert len(read) == 2 * len(pictures())
    for name, file in read.items():
        if "-after" in name:
            assert file.pop("DigitalSourceType") == AI_COMPOSITE, name
            assert file == read[name.replace("-after", "-before")], name
