"""An administrator gives the model of poses, and is told what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.operators.quality import CheckSwapOperator
from airflow_provider_segmind.tasks import check as poses
from tests.provider.running import context
from tests.quality.drawing import encoded
from tests.quality.photographs import photograph
from tests.quality.posed import pose_model

OPTION = "AIRFLOW__SEGMIND__POSE_MODEL"


@pytest.fixture
def scene(tmp_path: Path) -> str:
    path = tmp_path / "scene.png"
    path.write_bytes(encoded(photograph("astronaut")))
    return str(path)


def check(scene: str, result: object, **given: object) -> dict[str, object]:
    task = CheckSwapOperator(task_id="check", character_image=scene, results=result, on_failure="report", **given)
    return task.execute(context())


@pytest.mark.parametrize("value", [None, "", "  "])
def test_nothing_configured_judges_no_poses(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is not None:
        monkeypatch.setenv(OPTION, value)
    assert poses.pose_model() is None


def test_what_the_administrator_gave_is_used_for_one_and_for_many(
    emulator: object, scene: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert check(scene, scene)["layers"] == ["core", "qa"]
    monkeypatch.setenv(OPTION, str(pose_model()))
    assert poses.pose_model() == pose_model()
    report = check(scene, scene)
    assert report["layers"] == ["core", "qa", "pose"]
    assert report["checks"][-1]["name"] == "pose"  # type: ignore[index]
    turned = tmp_path / "turned.png"
    turned.write_bytes(encoded(photograph("astronaut").transpose(0)))
    (told,) = check(scene, [str(turned)])["reports"]  # type: ignore[misc]
    assert any(reason.startswith("pose: ") and "8 joints" in reason for reason in told["reasons"])


def test_a_wrong_file_names_the_option_the_path_and_who_must_act(
    emulator: object, scene: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OPTION, scene)
    with pytest.raises(
        InvalidRequestError, match=r"\[segmind\] pose_model cannot be used.*Ask your Airflow administrator"
    ) as told:
        poses.pose_model()
    assert scene in str(told.value)
    for result in (scene, [scene]):
        with pytest.raises(AirflowFailException, match=r"\[segmind\] pose_model.*is another file"):
            check(scene, result)
    assert check(scene, scene, qa=False)["layers"] == ["core"]
