"""With a model that the user gives, a new person who keeps the pose of the old one is told from one who does not."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.quality import detectors, inspect, interpreters, pose
from airflow_provider_segmind.quality.many import Pair, check_many
from airflow_provider_segmind.quality.report import Check
from airflow_provider_segmind.quality.thresholds import Thresholds
from tests.quality.drawing import encoded, find, trio
from tests.quality.photographs import photo_trio, photograph, wall
from tests.quality.posed import pose_model

pytestmark = pytest.mark.slow


def check_swap(source: Image.Image, result: Image.Image, **cuts: float) -> inspect.Report:
    return inspect.check_swap(
        encoded(source), encoded(result), qa=True, pose_model=pose_model(), thresholds=Thresholds(**cuts)
    )


def judged(source: Image.Image, result: Image.Image, **cuts: float) -> Check:
    return find(check_swap(source, result, **cuts), "pose")


def shifted(picture: Image.Image, share: float) -> Image.Image:
    return ImageChops.offset(picture, round(picture.width * share), 0)


@functools.cache
def posed(name: str) -> pose.Pose:
    picture = photograph(name)
    (body,) = detectors.find(detectors.BODIES, picture, 0.6)
    found = pose.find(picture, body, pose_model())
    assert found is not None
    return found


PHOTOGRAPHS = pytest.mark.parametrize("name", ["astronaut", "grace_hopper"])


@PHOTOGRAPHS
def test_the_same_picture_has_the_same_pose(name):
    check = judged(photograph(name), photograph(name))
    assert (check.verdict, check.value, check.threshold) == ("pass", 1.0, 0.5)


@PHOTOGRAPHS
def test_the_same_picture_in_a_worse_quality_has_the_same_pose(name):
    picture = photograph(name)
    worse = picture.resize((picture.width // 2, picture.height // 2))
    data = encoded(worse, "JPEG", quality=60)
    report = inspect.check_swap(encoded(picture), data, qa=True, pose_model=pose_model())
    assert 0.8 < find(report, "pose").value <= 1


@PHOTOGRAPHS
def test_a_person_who_stands_elsewhere_does_not_keep_the_pose(name):
    # Farther than a result is laid back over its source.
    for share in (0.3, -0.3):
        check = judged(photograph(name), shifted(photograph(name), share))
        assert check.verdict in ("review", "fail")
        assert check.value < 0.5
        assert "joints, seen on both pictures, are alike by" in check.why


def test_a_mirrored_person_does_not_keep_the_pose_unless_it_is_symmetric():
    verdicts = {
        name: judged(photograph(name), photograph(name).transpose(Image.Transpose.FLIP_LEFT_RIGHT)).verdict
        for name in ("astronaut", "grace_hopper")
    }
    # A portrait from the front, in the middle: mirrored, eyes and shoulders are where they were.
    assert verdicts == {"astronaut": "fail", "grace_hopper": "pass"}


def test_another_person_with_the_head_elsewhere_does_not_keep_the_pose():
    source, result, _ = photo_trio()
    report = check_swap(source, result)
    assert [check.name for check in report.failed] == ["pose"]
    assert find(check_swap(source, result, min_pose_oks=0.0), "pose").verdict == "pass"


def test_the_emulators_swaps_keep_the_pose_or_it_is_said_why_nothing_can_be_said():
    checks = []
    for number in range(4):
        source, result, _ = trio(number)
        checks.append(find(inspect.check_swap(source, result, qa=True, pose_model=pose_model()), "pose"))
    assert {check.verdict for check in checks} <= {"pass", "skipped"}
    assert [check for check in checks if check.verdict == "pass"]
    assert all("exactly one body" in check.why for check in checks if check.verdict == "skipped")


def both() -> Image.Image:
    picture = Image.new("RGB", (1024, 600))
    picture.paste(photograph("grace_hopper"), (0, 0))
    picture.paste(photograph("astronaut"), (512, 0))
    return picture


@pytest.mark.parametrize(
    ("picture", "why"),
    [
        (wall, "no body on both pictures"),
        (lambda: photograph("grace_hopper").crop((130, 90, 410, 340)), "of 17 joints are seen on both"),
    ],
)
def test_where_poses_cannot_be_compared_the_report_says_why(picture, why):
    check = judged(picture(), picture())
    assert (check.verdict, check.value) == ("skipped", None)
    assert why in check.why


def test_of_two_bodies_the_one_on_the_subject_is_compared():
    assert (judged(both(), both()).verdict, judged(both(), both()).value) == ("pass", 1.0)


@PHOTOGRAPHS
def test_joints_are_where_they_are_on_the_photograph(name):
    # Read off by eye: nose, the person's left and right eye, left and right shoulder.
    where = {
        "astronaut": ((224, 127), (246, 105), (205, 106), (300, 250), (103, 241)),
        "grace_hopper": ((273, 225), (308, 188), (227, 194), (450, 412), (95, 418)),
    }[name]
    found = posed(name)
    assert found.seen[[0, 1, 2, 5, 6]].all()
    assert np.abs(found.joints[[0, 1, 2]] - where[:3]).max() < 20
    assert np.abs(found.joints[[5, 6]] - where[3:]).max() < 45


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_turned_person_has_the_turned_pose(turn):
    # On a square, so that turning is about one middle.
    square = Image.new("RGB", (512, 512), (120, 120, 120))
    square.paste(photograph("astronaut"))
    turned = square.rotate(turn)
    (body,) = detectors.find(detectors.BODIES, turned, 0.5)
    found = pose.find(turned, body, pose_model())
    assert found is not None
    angle = np.radians(turn)
    back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    upright = dataclasses.replace(found, joints=(found.joints - 256) @ back + 256)
    assert pose.likeness(posed("astronaut"), upright, 512 * 512 * 0.4) > 0.7


POINT = st.tuples(st.floats(0, 500), st.floats(0, 500))


@given(points=st.lists(POINT, min_size=17, max_size=17), area=st.floats(100, 1e5), step=st.floats(1, 200))
@settings(max_examples=60, deadline=None)
def test_likeness_is_1_for_the_same_pose_and_falls_with_distance(points, area, step):
    before = pose.Pose(np.array(points), np.ones(17, bool))
    near, far = (pose.Pose(before.joints + move, before.seen) for move in (step, 2 * step))
    assert pose.likeness(before, before, area) == 1
    assert 0 <= pose.likeness(before, far, area) <= pose.likeness(before, near, area) < 1
    # Seen from twice as near, all of it is twice as large, and as alike as before.
    larger = [pose.Pose(2 * one.joints, one.seen) for one in (before, near)]
    assert pose.likeness(*larger, 4 * area) == pytest.approx(pose.likeness(before, near, area))


def test_a_joint_weighs_as_coco_says_and_hidden_ones_do_not():
    still = np.zeros((17, 2))
    moved = still.copy()
    moved[9] = (62 * 2, 0)
    seen = np.ones(17, bool)
    # The left wrist, one standard deviation away: 2 * 0.062 of the root of the area.
    one = pose.likeness(pose.Pose(still, seen), pose.Pose(moved, seen), 1000**2)
    assert one == pytest.approx((16 + np.exp(-0.5)) / 17)
    hidden = seen.copy()
    hidden[9] = False
    assert pose.likeness(pose.Pose(still, seen), pose.Pose(moved, hidden), 1000**2) == 1
    with pytest.raises(ValueError, match="no joint"):
        pose.likeness(pose.Pose(still, seen), pose.Pose(moved, ~seen), 1)


def test_the_check_is_in_the_report_only_with_a_model_and_the_layers_say_so():
    source, result, reference = trio()
    without = inspect.check_swap(source, result, reference, qa=True)
    assert without.layers == ("core", "qa")
    assert "pose" not in [check.name for check in without.checks]
    core = inspect.check_swap(source, result, reference, qa=False, pose_model=pose_model())
    assert core.layers == ("core",)
    posed = inspect.check_swap(source, result, reference, pose_model=pose_model())
    assert posed.layers == ("core", "qa", "pose")
    assert [check.name for check in posed.checks][-1:] == list(inspect.POSE_SWAP)
    assert [check.name for check in posed.checks][:-1] == [check.name for check in without.checks]
    unreadable = inspect.check_swap(source, b"", pose_model=pose_model())
    assert [check.name for check in unreadable.checks] == [check.name for check in posed.checks]
    assert find(unreadable, "pose").verdict == "skipped"


def wrong(folder: Path, kind: str) -> Path:
    path = folder / "pose.tflite"
    if kind == "folder":
        path.mkdir()
    elif kind != "missing":
        shipped = Path(detectors.__file__).parent / "models" / "pose_detection.tflite"
        path.write_bytes(shipped.read_bytes() if kind == "another model" else b"")
    return path


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "cannot be read (No such file or directory)"),
        ("folder", "cannot be read (Is a directory)"),
        ("empty", "is another file: its SHA-256 is e3b0c442"),
        ("another model", "is another file: its SHA-256 is 9ba9dd3d"),
    ],
)
def test_another_file_is_refused_with_its_path_and_what_is_expected(tmp_path, kind, words):
    path, data = wrong(tmp_path, kind), encoded(photograph("astronaut"))
    pair = Pair(lambda: data, lambda: data)
    for ask in (
        lambda: inspect.check_swap(data, data, pose_model=path),
        lambda: inspect.check_swap(b"", b"", pose_model=path),
        lambda: list(check_many([pair], pose_model=path)),
        lambda: interpreters.run(interpreters.POSE, np.zeros((256, 256, 3), np.float32), path),
    ):
        with pytest.raises(InvalidRequestError) as caught:
            ask()
        for part in (words, str(path), "Set the path to pose_landmark_full.tflite from the wheel of mediapipe 0.10.21"):
            assert part in str(caught.value)
    assert inspect.check_swap(data, data, qa=False, pose_model=path).layers == ("core",)


def test_many_are_judged_with_poses_too():
    source = encoded(photograph("astronaut"))
    results = [source, encoded(shifted(photograph("astronaut"), 0.15))]
    pairs = [Pair(lambda: source, lambda made=made: made) for made in results]
    reports = dict(check_many(pairs, pose_model=pose_model(), workers=1))
    assert find(reports[0], "pose").verdict == "pass"
    assert find(reports[1], "pose").verdict in ("review", "fail")
    assert reports[0].layers == ("core", "qa", "pose")


@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    points=st.lists(st.tuples(st.floats(-500, 500), st.floats(-500, 500)), min_size=2, max_size=2),
)
@settings(max_examples=30, deadline=None)
def test_a_body_anywhere_on_a_picture_of_any_size_gives_a_pose_or_none(width, height, points):
    picture = Image.effect_noise((width, height), 80).convert("RGB")
    body = detectors.Found(0.9, (0.0, 0.0, 1.0, 1.0), np.array([*points, (0, 0), (0, 0)], np.float32))
    found = pose.find(picture, body, pose_model())
    assert found is None or (found.joints.shape == (17, 2) and np.isfinite(found.joints).all())
