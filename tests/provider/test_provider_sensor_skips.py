"""What a sensor skips and what it shows: wrong settings, jobs without a result, and a task before it that left none."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_segmind.api.errors import (
    AuthenticationError,
    CreditsError,
    InvalidRequestError,
    JobExpiredError,
    JobFailedError,
    JobTimeoutError,
    SegmindError,
    ServiceError,
)
from airflow_provider_segmind.compat import (
    AIRFLOW_V_3_3_PLUS,
    AirflowFailException,
    AirflowSkipException,
    XComNotFound,
)
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.operators.body_swap import SubmitBodySwapOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from airflow_provider_segmind.waiting.ending import TriggerExit, end
from tests.airflow_fork import airflow
from tests.provider.conftest import connect
from tests.provider.running import TaskInstance, context
from tests.provider.test_provider_sensor import MODES, submit, wait

PICTURES = {"character_image": "https://a.example/1.png", "reference_character_image": "https://a.example/2.png"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"segmind_conn_id": "nowhere"}, "AuthenticationError: There is no connection 'nowhere'"),
        ({"poll_url": "4f7471d8"}, "is not a URL as Segmind returns it"),
        ({"poll_url": "https://evil.example/workflows/request/1"}, "is not on the connection's host"),
        ({"output_key": "mask"}, "no output 'mask'"),
    ],
    ids=["connection", "no URL", "host", "output"],
)
def test_soft_fail_does_not_hide_a_wrong_setting_and_never_fail_does(
    mode: str, wrong: dict[str, Any], words: str, emulator: Emulator
) -> None:
    given = {"poll_url": submit(emulator), **wrong}
    with pytest.raises(AirflowFailException, match=words):
        wait(mode, soft_fail=True, **given)
    with pytest.raises(AirflowSkipException):
        wait(mode, never_fail=True, **given)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"password": ""}, "has no API key"),
        ({"password": "SG_wrong_key"}, "Check the key in the connection"),
        ({"extra": {"timeout": "soon"}}, "timeout"),
    ],
    ids=["no key", "wrong key", "setting"],
)
def test_soft_fail_does_not_hide_a_connection_that_cannot_be_used(
    mode: str, change: dict[str, Any], words: str, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll_url = submit(emulator)
    connect(monkeypatch, emulator, **change)
    # A key that is refused can be set right while retries last; neither is a skip.
    with pytest.raises((AirflowFailException, AuthenticationError), match=words):
        wait(mode, poll_url, soft_fail=True)


@pytest.mark.parametrize("mode", MODES)
def test_soft_fail_skips_where_the_job_has_no_result(mode: str, emulator: Emulator) -> None:
    poll_url = submit(emulator)
    emulator.script(Fault("failed-error", on="poll", times=None))
    with pytest.raises(AirflowSkipException):
        wait(mode, poll_url, soft_fail=True)


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="tasks end in the triggerer from Airflow 3.3 on")
@pytest.mark.parametrize(
    ("error", "ends"),
    [
        (JobFailedError("x"), "TaskSkippedEvent"),
        (JobExpiredError("x"), "TaskSkippedEvent"),
        (JobTimeoutError("x"), "TaskSkippedEvent"),
        (AuthenticationError("x"), "TaskFailedEvent"),
        (InvalidRequestError("x"), "TaskFailedEvent"),
        (CreditsError("x"), "TaskFailedEvent"),
        (ServiceError("x"), "TaskFailedEvent"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_a_sensor_that_ends_in_the_triggerer_skips_the_same(error: SegmindError, ends: str) -> None:
    everything = {"success": True, "failure": True, "skip": True, "retries_left": False}
    assert type(end(TriggerExit(**everything, soft_fail=True), error)).__name__ == ends
    assert type(end(TriggerExit(**everything, never_fail=True), error)).__name__ == "TaskSkippedEvent"


class After(TaskInstance):
    """A task instance in a run in which the task before it ended as told and left these XComs."""

    dag_id, run_id = "d", "r"

    def __init__(self, state: str, **left: Any) -> None:
        super().__init__()
        self.state = state
        self.left = left

    def xcom_pull(self, *, task_ids: str, key: str, map_indexes: Any, default: Any = None) -> Any:
        """Return what the task before left."""
        return self.left.get(key, default)

    def get_task_states(self, *, dag_id: str, task_ids: list[str], run_ids: list[str]) -> dict[str, Any]:
        """Return the state of the task before."""
        return {self.run_id: {task_ids[0]: SimpleNamespace(value=self.state)}}


def after(ti: After, *, key: str | None = "poll_url", **options: Any) -> Any:
    """Run a sensor that is connected to a submit, with its templates rendered as Airflow does it."""
    with DAG("d", schedule=None):
        order = SubmitBodySwapOperator(task_id="submit", **PICTURES)
        given = order.output if key is None else order.output[key]
        sensor = BodySwapSensor(task_id="wait", poll_url=given, trigger_rule="all_done", **options)
    ctx = context(ti)
    sensor.render_template_fields(ctx)
    return sensor.execute(ctx)


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("key", ["poll_url", None], ids=["the URL", "all of it"])
@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("skipped", "task 'submit' was skipped and left no order"),
        ("failed", "task 'submit' failed and left no order"),
        ("upstream_failed", "task 'submit' did not run, since a task before it failed"),
    ],
)
def test_a_task_before_that_was_skipped_or_failed_is_named_and_soft_fail_skips_too(
    state: str, words: str, key: str | None, deferrable: bool, emulator: Emulator
) -> None:
    how: dict[str, Any] = {"key": key, "deferrable": deferrable}
    with pytest.raises(AirflowFailException, match=f"{words}.*trigger_rule 'all_done'.*set soft_fail=True"):
        after(After(state), **how)
    with pytest.raises(AirflowSkipException, match=words):
        after(After(state), **how, soft_fail=True)
    assert emulator.requests == ()


def test_a_task_before_that_succeeded_and_gives_no_poll_url_is_a_wrong_setting(emulator: Emulator) -> None:
    with pytest.raises(AirflowFailException, match="'submit' ended in state 'success' and left no poll_url"):
        after(After("success"), soft_fail=True)


def test_a_state_that_airflow_does_not_tell_costs_no_clear_error(emulator: Emulator) -> None:
    ti = After("skipped")
    ti.run_id = "another"
    ti.get_task_states = lambda **_: {}  # type: ignore[method-assign]
    with pytest.raises(AirflowFailException, match="'submit' was skipped or failed, or it left no poll_url"):
        after(ti)


DAG_OF_THE_SKIPPED = """
from airflow.sdk import DAG, task

from airflow_provider_segmind.compat import AirflowSkipException
from airflow_provider_segmind.operators.body_swap import SubmitBodySwapOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor

with DAG(dag_id="skipped", schedule=None):

    @task
    def nothing_today():
        raise AirflowSkipException("no photographs")

    submit = SubmitBodySwapOperator(task_id="submit", character_image="https://a.example/1.png",
                                    reference_character_image="https://a.example/2.png")
    for name, url in (("url", submit.output["poll_url"]), ("all", submit.output)):
        BodySwapSensor(task_id=name, poll_url=url, trigger_rule="all_done")
        BodySwapSensor(task_id=f"{name}_as_ever", poll_url=url)
        BodySwapSensor(task_id=f"{name}_soft", poll_url=url, trigger_rule="all_done", soft_fail=True)
    nothing_today() >> submit
"""


@pytest.mark.slow
def test_a_real_run_says_that_the_submit_was_skipped(airflow_db: None, emulator: Emulator, tmp_path: Path) -> None:
    (tmp_path / "skipped.py").write_text(DAG_OF_THE_SKIPPED)
    done = airflow("dags", "test", "skipped", env={**os.environ, "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path)})
    assert done.returncode != 0
    said = "task 'submit' was skipped and left no order. This sensor ran all the same, as its trigger_rule 'all_done'"
    assert done.stdout.count(f"AirflowFailException: There is nothing to wait for: {said}") >= 2, done.stdout[-8000:]
    assert "Skipped instead of failed, as the task asks: There is nothing to wait for" in done.stdout
    assert emulator.requests == ()


def test_an_xcom_that_another_template_names_is_still_missing() -> None:
    with DAG("d", schedule=None):
        order = SubmitBodySwapOperator(task_id="submit", **PICTURES)
        sensor = BodySwapSensor(task_id="wait", poll_url="x", output_key=order.output["keyname"])  # type: ignore[arg-type]
    with pytest.raises(XComNotFound):
        sensor.render_template_fields(context(After("skipped")))
