"""The submitting operators: one bill, both XComs, and a sentence for each bad input."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_segmind.api.errors import InvalidRequestError, RateLimitError, TransportError
from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.operators.body_swap import SubmitBodySwapOperator
from airflow_provider_segmind.operators.pixelflow import SubmitPixelFlowOperator
from tests.api.drive import WORKFLOW
from tests.provider.odd_host import picture
from tests.provider.running import TaskInstance, context


def swap(emulator: Emulator, **changes: Any) -> SubmitBodySwapOperator:
    parameters = {
        "task_id": "submit",
        "character_image": emulator.sample("scene", 0),
        "reference_character_image": emulator.sample("person", 0),
        **changes,
    }
    return SubmitBodySwapOperator(**parameters)


def test_a_swap_is_one_post_with_the_three_inputs(emulator: Emulator) -> None:
    ti = TaskInstance()
    result = swap(emulator, select_character="the girl").execute(context(ti))
    (charge,) = emulator.charges
    assert charge.workflow == WORKFLOW
    assert charge.inputs == {
        "character_image": emulator.sample("scene", 0),
        "reference_character_image": emulator.sample("person", 0),
        "select_character": "the girl",
    }
    assert result["request_id"] == charge.request_id
    assert result["workflow"] == WORKFLOW
    assert set(result) == {"request_id", "poll_url", "workflow", "submitted_at"}
    assert ti.xcoms == {"poll_url": result["poll_url"], "request_id": result["request_id"]}


def test_the_generic_operator_takes_any_workflow(emulator: Emulator) -> None:
    task = SubmitPixelFlowOperator(task_id="submit", workflow="abc-v2", inputs={"prompt": "a cat"})
    task.execute(context())
    assert emulator.charges[0].inputs == {"prompt": "a cat"}


def test_pictures_that_have_no_url_are_uploaded_first(emulator: Emulator, tmp_path: Path) -> None:
    scene, person = tmp_path / "scene.png", tmp_path / "person.jpg"
    scene.write_bytes(requests.get(emulator.sample("scene", 1), timeout=10).content)
    person.write_bytes(picture("JPEG"))
    swap(emulator, character_image=str(scene), reference_character_image=person.as_uri()).execute(context())
    (charge,) = emulator.charges
    for name, file, kind in [
        ("character_image", scene, "image/png"),
        ("reference_character_image", person, "image/jpeg"),
    ]:
        answer = requests.get(charge.inputs[name], timeout=10)
        assert answer.content == file.read_bytes()
        assert answer.headers["content-type"] == kind


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"character_image": ""}, "character_image is empty"),
        ({"character_image": None}, "character_image is empty"),
        ({"reference_character_image": "None"}, "reference_character_image is empty"),
        ({"select_character": " "}, "select_character is ' '"),
        ({"workflow": "body swap"}, "workflow 'body swap' is not a workflow id"),
        ({"character_image": "nowhere.png"}, "'nowhere.png' cannot be read"),
        ({"character_image": "gopher://x/y.png"}, "'gopher://x/y.png' cannot be read"),
        ({"character_image": "http://pictures.example.com/a.png"}, "is not an https:// URL"),
        ({"character_image": "data:image/png;base64,xx"}, "is not an https:// URL"),
        ({"segmind_conn_id": "nowhere"}, "no connection 'nowhere'"),
    ],
)
def test_bad_input_fails_for_good_before_any_order(emulator: Emulator, changes: dict[str, Any], words: str) -> None:
    with pytest.raises((AirflowFailException, InvalidRequestError), match=words):  # the latter when the DAG is parsed
        swap(emulator, **changes).execute(context())
    assert emulator.charges == ()
    assert emulator.requests == ()


def test_above_an_error_of_the_users_are_few_frames_and_no_other_error(emulator: Emulator) -> None:
    with pytest.raises(AirflowFailException) as raised:
        swap(emulator, character_image="nowhere.png").execute(context())
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    assert len(traceback.extract_tb(raised.value.__traceback__)) <= 5


def test_what_is_no_picture_is_not_made_public(emulator: Emulator, tmp_path: Path) -> None:
    secret = tmp_path / "scene.png"
    secret.write_text("password: hunter2")
    with pytest.raises(AirflowFailException, match="not a PNG, JPEG or WebP picture, so it is not uploaded"):
        swap(emulator, character_image=str(secret)).execute(context())
    assert emulator.requests == ()


def test_a_missing_image_is_refused_when_the_dag_is_read(emulator: Emulator) -> None:
    with pytest.raises(TypeError, match="reference_character_image"):
        SubmitBodySwapOperator(task_id="submit", character_image=emulator.sample("scene", 0))  # type: ignore[call-arg]


def test_a_misspelled_input_of_the_generic_operator_never_swaps_the_vendors_sample(emulator: Emulator) -> None:
    inputs = {"character_image": emulator.sample("scene", 0), "reference_image": emulator.sample("person", 0)}
    with pytest.raises(AirflowFailException, match="body swap has no input 'reference_image'"):
        SubmitPixelFlowOperator(task_id="submit", workflow=WORKFLOW, inputs=inputs).execute(context())
    assert emulator.requests == ()


@pytest.mark.parametrize("kind", ["401", "403", "404", "400-text", "406-credits", "406-parameter", "drop-after", "500"])
def test_where_a_retry_cannot_help_or_would_bill_the_task_fails_for_good(emulator: Emulator, kind: str) -> None:
    emulator.set(history=False)
    emulator.script(Fault(kind, times=None))
    with pytest.raises(AirflowFailException):
        swap(emulator).execute(context())
    assert len(emulator.charges) == (kind == "drop-after")


def test_a_full_account_is_left_to_the_tasks_own_retries(emulator: Emulator) -> None:
    emulator.script(Fault("429", times=None, seconds=400))
    with pytest.raises(RateLimitError):
        swap(emulator).execute(context())
    assert emulator.charges == ()


def test_an_api_out_of_reach_is_left_to_the_tasks_own_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_SEGMIND_DEFAULT", '{"conn_type": "segmind", "host": "http://127.0.0.1:9", "password": "x"}'
    )
    monkeypatch.setattr("airflow_provider_segmind.api.flow.MORE_TRIES", 1)
    task = SubmitPixelFlowOperator(task_id="submit", workflow="abc-v1", inputs={})
    with pytest.raises(TransportError, match="nothing was sent"):
        task.execute(context())


def test_everything_an_author_decides_is_a_template() -> None:
    assert set(SubmitBodySwapOperator.template_fields) == {
        "character_image",
        "reference_character_image",
        "select_character",
        "workflow",
        "segmind_conn_id",
        "consent_reference",
    }
    assert set(SubmitPixelFlowOperator.template_fields) == {
        "workflow",
        "inputs",
        "segmind_conn_id",
        "consent_reference",
    }


def test_a_picture_that_is_too_large_is_refused_before_it_is_read_whole(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_segmind.files.pictures.MAX_ORIGINAL", 2**20)
    picture = tmp_path / "scene.webp"
    picture.write_bytes(b"RIFF\x00\x00\x00\x00WEBP" + bytes(2**20))
    with pytest.raises(AirflowFailException, match="is larger than 1 MiB: give a smaller picture"):
        swap(emulator, character_image=str(picture)).execute(context())
    assert emulator.requests == ()
