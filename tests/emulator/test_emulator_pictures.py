from __future__ import annotations

import base64
import functools
import io
import json
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageStat

from airflow_provider_segmind.emulator import paint, pictures, samples
from airflow_provider_segmind.emulator.paint import find_subject

draw = functools.cache(samples.draw)

TOPS = ((52, 58, 74), (140, 84, 170), (226, 104, 52))
"""The colours of the clothes of persons 1 to 3."""


def opened(data: bytes):
    return Image.open(io.BytesIO(data)).convert("RGB")


def is_present(picture, colour, tolerance: int = 40, share: float = 0.02) -> bool:
    distance = ImageChops.difference(picture, Image.new("RGB", picture.size, colour))
    near = distance.convert("RGB").point(lambda value: 255 if value <= tolerance else 0).split()
    matching = ImageChops.darker(ImageChops.darker(near[0], near[1]), near[2])
    return ImageStat.Stat(matching).mean[0] / 255 > share


@pytest.mark.parametrize("number", range(3))
def test_a_swap_changes_the_person_and_nothing_else(number):
    scene, person = draw("scene", number), draw("person", number + 1)
    before, after = opened(scene), opened(paint.swap(scene, person))
    old, new = find_subject(before), find_subject(after)
    assert after.size == before.size == (768, 1024)
    people = ImageChops.lighter(old.region, new.region).filter(ImageFilter.MaxFilter(9))
    outside = ImageChops.difference(before, after)
    outside.paste((0, 0, 0), (0, 0), people)
    assert outside.getbbox() is None
    assert ImageStat.Stat(ImageChops.difference(before, after).convert("L"), old.core).mean[0] > 15
    assert abs(new.box[3] - old.box[3]) <= 12
    assert is_present(after, TOPS[number])


@pytest.mark.parametrize("kind", ["scene", "person"])
def test_samples_repeat_and_differ_from_each_other(kind):
    assert samples.draw(kind, 0) == draw(kind, 0)
    assert draw(kind, 0) != draw(kind, 1)


def noise(size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.effect_noise(size, 90).convert("RGB").save(file, "PNG")
    return file.getvalue()


def test_pictures_that_cannot_be_understood_still_give_a_swap_in_the_middle():
    scene, person = noise((300, 200)), noise((120, 90))
    before, after = opened(scene), opened(paint.swap(scene, person))
    assert after.size == (300, 200)
    box = ImageChops.difference(before, after).getbbox()
    assert box is not None
    assert after.crop((0, 0, 20, 200)).tobytes() == before.crop((0, 0, 20, 200)).tobytes()


def test_a_picture_of_nothing_is_handled():
    flat = Image.new("RGB", (100, 150), (200, 210, 220))
    ImageDraw.Draw(flat).ellipse((1, 1, 4, 4), (0, 0, 0))
    file = io.BytesIO()
    flat.save(file, "PNG")
    assert opened(paint.swap(file.getvalue(), draw("person", 0))).size == (100, 150)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"<html>", noise((300, 4))])
def test_what_is_not_a_picture_is_refused(data):
    with pytest.raises(paint.NotAPictureError):
        paint.swap(data, data)


def output_of(client, **inputs: str) -> bytes:
    answer = client.poll(client.submit(json=inputs).json()["poll_url"]).json()
    file = requests.get(json.loads(answer["output"])[0]["value"]["data"], timeout=60)
    assert file.headers["Content-Type"] == "image/png"
    return file.content


def test_the_output_of_a_job_is_painted_from_its_own_inputs(client, emulator):
    picture = base64.b64encode(draw("scene", 2, "JPEG")).decode()
    data_urls = {"data_urls": [f"data:image/jpeg;base64,{picture}"]}
    (uploaded,) = client.request("POST", "/upload-asset", json=data_urls).json()["file_urls"]
    data = output_of(client, character_image=uploaded, reference_character_image=emulator.sample("person", 1))
    assert data == paint.swap(draw("scene", 2, "JPEG"), draw("person", 1))


def test_pictures_from_elsewhere_are_stood_in_for_by_drawn_ones(client):
    inputs = {"character_image": "https://example.invalid/a.png", "reference_character_image": "not a url"}
    assert opened(output_of(client, **inputs)).size == (768, 1024)


def test_samples_are_served_without_a_key_in_both_formats(emulator):
    for suffix, form in (("png", "PNG"), ("jpg", "JPEG")):
        url = emulator.sample("person", 2).removesuffix("png") + suffix
        with Image.open(io.BytesIO(requests.get(url, timeout=20).content)) as picture:
            assert (picture.format, picture.size) == (form, (768, 1024))


def test_a_picture_that_is_made_does_not_wait_for_one_that_is_being_made(client, emulator, monkeypatch):
    """The input's host accepts and does not answer, so the painter waits for it."""
    monkeypatch.setattr(pictures, "_FETCH_SECONDS", 60.0)
    made = emulator.sample("scene", 1)
    first = requests.get(made, timeout=60).content
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as other:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/scene.png"
        painted = other.submit(output_of, client, character_image=url, reference_character_image=made)
        connection, _ = silent.accept()
        assert requests.get(made, timeout=60).content == first
        assert not painted.done()
        connection.close()
        assert opened(painted.result()).size == (768, 1024)
