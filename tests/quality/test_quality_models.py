"""The models are the ones that were tried, are loaded once, live through forks and threads, and never fail silently."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from airflow_provider_segmind.quality import detectors, interpreters
from airflow_provider_segmind.quality.inspect import check_input, check_swap
from tests.quality.drawing import encoded, scene
from tests.quality.photographs import photograph

MODELS = Path(str(resources.files("airflow_provider_segmind.quality"))) / "models"


def script(code: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60, check=True, **options
    )


def test_the_models_and_their_licence_are_in_the_package_and_nothing_else():
    hashes = {file.stem: hashlib.sha256(file.read_bytes()).hexdigest() for file in MODELS.glob("*.tflite")}
    assert hashes == interpreters.SHA256
    names = {file.name for file in MODELS.iterdir()}
    assert names == {"LICENSE", *(f"{name}.tflite" for name in interpreters.SHA256)}
    notice = (Path(__file__).parents[2] / "NOTICE").read_text()
    assert all(f"{name}.tflite" in notice for name in interpreters.SHA256)
    assert "Apache License" in (MODELS / "LICENSE").read_text()


@pytest.mark.parametrize("harm", ["cut", "changed", "gone"])
def test_a_damaged_model_is_an_error_that_says_who_must_act_and_no_verdict(harm, tmp_path):
    package = tmp_path / "airflow_provider_segmind"
    shutil.copytree(MODELS.parents[1], package, ignore=shutil.ignore_patterns("__pycache__"))
    model = package / "quality" / "models" / "pose_detection.tflite"
    content = model.read_bytes()
    if harm == "cut":
        model.write_bytes(content[: len(content) // 2])
    elif harm == "changed":
        model.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    else:
        model.unlink()
    picture = tmp_path / "picture.png"
    picture.write_bytes(encoded(scene(600, 600)))
    done = script(
        "from pathlib import Path\n"
        "from airflow_provider_segmind.quality import inspect\n"
        f"assert inspect.__file__.startswith({str(tmp_path)!r})\n"
        "data = Path('picture.png').read_bytes()\n"
        "assert inspect.check_input(data, qa=False).verdict == 'pass'\n"
        "try: print(inspect.check_input(data).verdict)\n"
        "except RuntimeError as error: print(type(error).__name__, error)\n",
        cwd=tmp_path,
    )
    assert done.stdout.startswith("ModelError The model pose_detection ")
    assert "Ask your Airflow administrator to install airflow-provider-segmind[qa] again" in done.stdout


def test_a_runtime_that_cannot_be_imported_is_an_error_and_no_verdict(tmp_path):
    broken = tmp_path / "ai_edge_litert"
    broken.mkdir()
    (broken / "__init__.py").touch()
    (broken / "interpreter.py").write_text("raise ImportError('libstdc++ is too old')")
    (tmp_path / "picture.png").write_bytes(encoded(scene(600, 600)))
    done = script(
        "from pathlib import Path\n"
        "from airflow_provider_segmind.quality import inspect\n"
        "try: print(inspect.check_input(Path('picture.png').read_bytes()).verdict)\n"
        "except RuntimeError as error: print(type(error).__name__, error)\n",
        cwd=tmp_path,
    )
    assert done.stdout.startswith("ModelError")
    assert "libstdc++ is too old" in done.stdout


FORK = """
import multiprocessing, os, threading, time
from tests.quality.photographs import photograph
from airflow_provider_segmind.quality import detectors, interpreters
picture = photograph("astronaut")
def found(): return [round(face.score, 4) for face in detectors.find(detectors.FACES, picture, 0.5)]
before = found()
stop = threading.Event()
def busy():
    while not stop.is_set():
        {busy}
worker = threading.Thread(target=busy, daemon=True)
worker.start()
with multiprocessing.get_context("fork").Pool(2) as pool:
    answers = [pool.apply_async(found).get(timeout=20) for _ in range(4)]
with interpreters._lock:  # held while forking: the child must not wait for it
    child = os.fork()
    if not child:
        os._exit(0 if found() == before else 1)
    deadline = time.monotonic() + 20
    while (done := os.waitpid(child, os.WNOHANG))[0] == 0 and time.monotonic() < deadline:
        time.sleep(0.02)
stop.set()
print(before == answers[0] == answers[-1], len(before), done == (child, 0))
"""


@pytest.mark.parametrize("busy", ["found()", "time.sleep(0.01)"])
def test_a_forked_child_can_use_the_models_that_its_parent_uses_at_that_moment(busy):
    assert script(FORK.format(busy=busy)).stdout.split() == ["True", "1", "True"]


def test_threads_get_the_answers_that_one_gets():
    pictures = [
        photograph("astronaut"),
        photograph("grace_hopper"),
        scene(300, 300),
        photograph("astronaut").rotate(180),
    ]

    def seen(number: int) -> list[float]:
        picture = pictures[number % len(pictures)]
        return [
            found.score
            for detector in (detectors.FACES, detectors.BODIES)
            for found in detectors.find(detector, picture, 0.3)
        ]

    alone = [seen(number) for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(seen, range(32)))
    assert together == alone * 8
    assert threading.active_count() >= 1


def middle(found: detectors.Found) -> np.ndarray:
    return (np.array(found.box[:2]) + found.box[2:]) / 2


def test_faces_and_bodies_are_found_where_they_are_in_a_picture_of_any_shape():
    picture = photograph("grace_hopper")
    wide, tall = Image.new("RGB", (1536, 600)), Image.new("RGB", (512, 1800))
    wide.paste(picture, (900, 0))
    tall.paste(picture, (0, 1100))
    for detector in (detectors.FACES, detectors.BODIES):
        (own,) = detectors.find(detector, picture, 0.5)
        for other, offset in ((wide, (900, 0)), (tall, (0, 1100))):
            (found,) = detectors.find(detector, other, 0.4)
            assert np.abs(middle(found) - middle(own) - offset).max() < 40
            # Points differ more, since the detectors see the same person smaller.
            assert np.abs(found.points[2] - own.points[2] - offset).max() < 0.06 * max(other.size)
    face = detectors.find(detectors.FACES, picture, 0.5)[0]
    right_eye, left_eye, nose, mouth = face.points[:4]
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_eye[1] < nose[1] < mouth[1]


@pytest.mark.parametrize("pixels", [1, 3, 8])
def test_a_mask_grows_in_every_direction(pixels):
    mask = np.random.default_rng(pixels).random((37, 53)) > 0.99
    wide = Image.fromarray(np.pad(mask, pixels)).convert("L").filter(ImageFilter.MaxFilter(2 * pixels + 1))
    assert (detectors.grown(mask, pixels) == (np.asarray(wide) > 0)[pixels:-pixels, pixels:-pixels]).all()


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_no_broken_bytes_crash_the_checks_with_models(data):
    kind = data.draw(st.sampled_from(("JPEG", "PNG", "WEBP")))
    seed = encoded(photograph("astronaut").resize((96, 96)), kind)
    broken = bytearray(seed)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(broken) - 1))
        broken[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=6))
        broken = broken or bytearray(b"x")
    for report in (check_swap(seed, bytes(broken), seed, qa=True), check_input(bytes(broken), seed, qa=True)):
        assert report.verdict in ("pass", "warn", "review", "fail")
        assert report.layers == ("core", "qa")


@pytest.mark.slow
@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    other=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    colour=st.integers(0, 255),
)
@settings(max_examples=40, deadline=None)
def test_pictures_of_any_size_get_a_verdict(width, height, other, colour):
    source = encoded(scene(width, height))
    for result in (encoded(Image.new("RGB", other, (colour, 0, 255 - colour))), encoded(scene(*other))):
        assert check_swap(source, result, qa=True).verdict in ("pass", "warn", "review", "fail")
