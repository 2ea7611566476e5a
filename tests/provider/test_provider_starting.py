"""How a sensor starts in the triggerer. What a real Airflow makes of it is in tests/system/test_real_endings.py."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, Param, TaskGroup, task_group
from airflow.triggers.base import TriggerEvent

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.compat import AIRFLOW_V_3_3_PLUS
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.operators.body_swap import SubmitBodySwapOperator
from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from airflow_provider_segmind.triggers import starting
from airflow_provider_segmind.triggers.segmind import BACKSTOP, PixelFlowTrigger
from airflow_provider_segmind.triggers.starting import StartedPixelFlowTrigger
from airflow_provider_segmind.waiting.events import is_start
from tests.api.virtual import DOWN, GONE, Clock, Service, between, run_virtually
from tests.provider.running import context, first_event, revive
from tests.provider.virtual import World

pytestmark = pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="tasks start in the triggerer from Airflow 3.3 on")

URL = "https://api.segmind.com/workflows/request/1"
PICTURES = {"character_image": "https://a.example/1.png", "reference_character_image": "https://a.example/2.png"}


def sensor(**settings: Any) -> BodySwapSensor:
    with DAG("d", schedule=None):
        return BodySwapSensor(task_id="wait", **{"poll_url": URL, "start_from_trigger": True, **settings})


def mapped_sensor(params: Any = None, expand: Any = None, **settings: Any) -> Any:
    with DAG("d", schedule=None, params=params):
        submit = SubmitBodySwapOperator.partial(task_id="submit", **PICTURES).expand(select_character=["man", "woman"])
        made = BodySwapSensor.partial(task_id="wait", start_from_trigger=True, **settings)
        return made.expand(poll_url=submit.output)


def as_scheduled(task: Any) -> Any:
    """Return the task as the scheduler and the triggerer know it."""
    from airflow.serialization.serialized_objects import DagSerialization

    return DagSerialization.from_dict(DagSerialization.to_dict(task.dag)).get_task(task.task_id)


def pulls(values: dict[tuple[str, int], Any], map_index: int = -1) -> Any:
    """Return a task instance whose XComs are these, by task and map index; it counts how often they are pulled."""

    def xcom_pull(*, task_ids: str, key: str, map_indexes: int) -> Any:
        ti.pulled += 1
        return values[task_ids, map_indexes]

    ti = SimpleNamespace(
        task_id="wait", dag_id="d", run_id="r", map_index=map_index, try_number=1, pulled=0, xcom_pull=xcom_pull
    )
    return ti


def started(task: Any, ti: Any, **changes: Any) -> Any:
    """Return the trigger as the triggerer starts it: from the serialized DAG, with the task instance set."""
    scheduled = as_scheduled(task)
    args = task.start_trigger_args
    trigger = revive(StartedPixelFlowTrigger(**{**args.trigger_kwargs, **changes}))
    ti.task = scheduled
    ti.task.template_ext = ()
    trigger.task_instance = ti
    trigger.timeout_after = datetime.now(UTC) + args.timeout
    return trigger


def event_of(trigger: Any) -> Any:
    return asyncio.run(first_event(trigger))


def test_an_unmapped_sensor_waits_for_what_the_submit_returned(emulator: Emulator) -> None:
    emulator.set(job_seconds=0)
    job = SegmindHook().submit("678b67a76426baad7e539337-v4", pictures(emulator))
    with DAG("d", schedule=None):
        submit = SubmitBodySwapOperator(task_id="submit", **PICTURES)
        task = BodySwapSensor(
            task_id="wait", poll_url=submit.output["poll_url"], start_from_trigger=True, end_in_trigger=False
        )
    event = event_of(started(task, pulls({("submit", -1): job.poll_url})))
    assert (event["status"], event["request_id"]) == ("success", job.request_id)


def test_a_mapped_sensor_waits_for_the_job_of_its_own_index(emulator: Emulator) -> None:
    emulator.set(job_seconds=0)
    jobs = [SegmindHook().submit("678b67a76426baad7e539337-v4", pictures(emulator)) for _ in range(2)]
    values = {("submit", i): {"poll_url": job.poll_url, "request_id": job.request_id} for i, job in enumerate(jobs)}
    task = mapped_sensor(end_in_trigger=False)
    events = [event_of(started(task, pulls(values, map_index=i))) for i in range(2)]
    assert [event["request_id"] for event in events] == [job.request_id for job in jobs]


def test_a_mapped_sensor_says_that_its_job_is_reused(emulator: Emulator) -> None:
    emulator.set(job_seconds=0)
    job = SegmindHook().submit("678b67a76426baad7e539337-v4", pictures(emulator))
    handle = {"poll_url": job.poll_url, "request_id": job.request_id, "reused": True, "cost": 0}
    event = event_of(started(mapped_sensor(end_in_trigger=False), pulls({("submit", 0): handle}, map_index=0)))
    assert event["job"]["reused"]


def test_a_thousand_sensors_after_one_list_pull_it_once() -> None:
    handles = [{"poll_url": f"{URL}{i}"} for i in range(1000)]
    ti = pulls({("batch", -1): handles})

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(starting._pull_list(ti, "batch") for _ in range(1000)))

    assert asyncio.run(all_at_once()) == [handles] * 1000
    assert ti.pulled == 1
    assert not starting._flights


def test_the_deadline_is_the_time_that_airflow_set_when_the_task_started(emulator: Emulator) -> None:
    """It is kept in Airflow's database, so a restart of the triggerer does not prolong the wait."""
    trigger = started(sensor(timeout=100.0), pulls({}))
    asyncio.run(trigger._prepare())
    assert abs(trigger.deadline - (datetime.now(UTC).timestamp() + 100.0)) < 5
    trigger.timeout_after = None
    assert is_start(event_of(trigger)), "without it, a worker sets the deadline"


def test_airflow_ends_the_wait_a_little_after_its_own_deadline() -> None:
    args = sensor(timeout=1000.0).start_trigger_args
    assert args is not None
    assert (args.timeout, (args.trigger_kwargs or {})["grace"]) == (timedelta(seconds=1000.0 + BACKSTOP), BACKSTOP)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"execution_timeout": timedelta(seconds=60)}, "has an execution_timeout.*use timeout instead"),
        ({"map_index_template": "{{ task.poll_url }}"}, "has a map_index_template, which only a worker renders"),
    ],
    ids=["execution_timeout", "map_index_template"],
)
def test_a_setting_that_would_change_keeps_the_sensor_on_a_worker(
    settings: dict[str, Any], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    for task in (sensor(**settings), mapped_sensor(**settings)):
        assert (task.start_from_trigger, task.start_trigger_args) == (False, None)
        assert as_scheduled(task).start_from_trigger is False
    assert len(re.findall(f"starts on a worker although start_from_trigger=True: it {why}", caplog.text)) == 2
    assert mapped_sensor(**settings).unmap({"poll_url": URL}).start_from_trigger is False


def test_a_setting_of_the_dags_default_args_counts_too() -> None:
    with DAG("d", schedule=None, default_args={"execution_timeout": timedelta(hours=1)}):
        one = BodySwapSensor(task_id="one", poll_url=URL, start_from_trigger=True)
        many = BodySwapSensor.partial(task_id="many", start_from_trigger=True).expand(poll_url=[URL])
    assert (one.start_from_trigger, many.start_from_trigger) == (False, False)


def test_a_sensor_in_a_mapped_task_group_starts_on_a_worker_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """The triggerer would not find the order of its own index, and send it to a worker after all."""
    made = []
    with DAG("d", schedule=None):

        @task_group
        def swap(scene: str) -> None:
            submit = SubmitBodySwapOperator(task_id="submit", **{**PICTURES, "character_image": scene})
            with TaskGroup("inner"):
                wait = BodySwapSensor(task_id="wait", poll_url=submit.output["poll_url"], start_from_trigger=True)
            made.append(wait)

        swap.expand(scene=["https://a.example/1.png", "https://a.example/2.png"])
    assert not made[0].start_from_trigger
    assert not as_scheduled(made[0]).start_from_trigger
    assert "in a mapped task group" in caplog.text
    with DAG("e", schedule=None), TaskGroup("not_mapped"):
        assert BodySwapSensor(task_id="wait", poll_url=URL, start_from_trigger=True).start_from_trigger


@pytest.mark.parametrize(
    "values",
    [{}, {("submit", 0): None}, {("submit", 0): {"request_id": "1"}}, {("submit", 0): 7}],
    ids=["no XCom", "None", "no poll_url", "a number"],
)
def test_what_the_triggerer_cannot_read_starts_on_a_worker(values: Any) -> None:
    assert is_start(event_of(started(mapped_sensor(), pulls(values, map_index=0))))


def test_a_trigger_rule_under_which_the_indexes_may_differ_starts_on_a_worker() -> None:
    values = {("submit", 0): {"poll_url": URL}}
    assert is_start(event_of(started(mapped_sensor(trigger_rule="all_done"), pulls(values, map_index=0))))


def test_a_task_that_begins_on_a_worker_after_all_does_what_it_always_does(emulator: Emulator) -> None:
    emulator.set(job_seconds=0)
    job = SegmindHook().submit("678b67a76426baad7e539337-v4", pictures(emulator))
    task = BodySwapSensor(task_id="wait", poll_url=job.poll_url)
    assert task.execute_complete(context(), starting.event_of_start())["request_id"] == job.request_id


@pytest.mark.parametrize(
    "params", [{"a": Param(type="string")}, {"a": Param(None, type="string")}], ids=["no default", "bad default"]
)
def test_a_param_that_would_end_the_triggerer_keeps_the_sensor_on_a_worker(
    params: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Airflow 3.3.2 checks the params outside of any try: one without a default kills the whole triggerer."""
    with DAG("d", schedule=None, params=params):
        assert not BodySwapSensor(task_id="wait", poll_url=URL, start_from_trigger=True).start_from_trigger
    assert not mapped_sensor(params).start_from_trigger
    assert "no valid default: a" in caplog.text
    assert sensor().start_from_trigger
    assert mapped_sensor({"a": Param("x", type="string")}).start_from_trigger


@pytest.mark.parametrize(
    "poll_url", ["{{ ti.xcom_pull(task_ids='submit')['poll_url'] }}", 7, {"poll_url": URL}], ids=["text", "int", "dict"]
)
def test_a_poll_url_that_the_triggerer_cannot_take_is_refused_when_the_dag_is_parsed(poll_url: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"start_from_trigger=True takes it only from a task's output"):
        sensor(poll_url=poll_url)


def test_starting_in_the_triggerer_needs_deferrable() -> None:
    with pytest.raises(ValueError, match="needs deferrable=True"):
        sensor(deferrable=False)
    with pytest.raises(ValueError, match="needs deferrable=True"):
        mapped_sensor(deferrable=False)


def test_a_mapped_sensor_is_refused_where_default_args_say_that_nothing_defers() -> None:
    """It stayed deferred for ever where no triggerer runs."""
    with pytest.raises(ValueError, match="needs deferrable=True"):
        mapped_sensor(default_args={"deferrable": False})


def test_a_mapped_sensor_starts_with_what_default_args_say() -> None:
    own = {"segmind_conn_id": "team_b", "timeout": 90.0}
    args = mapped_sensor(default_args=own).partial_kwargs["start_trigger_args"]
    assert args.trigger_kwargs["segmind_conn_id"] == "team_b"
    assert args.timeout == timedelta(seconds=90 + BACKSTOP)


def test_what_a_worker_deferred_is_not_rendered_in_the_triggerer() -> None:
    """A poll URL of an XCom was rendered there: it showed the key, and could hold the whole triggerer."""
    poll_url = "https://api.segmind.com/workflows/request/{{conn.segmind_default.password}}"
    waits = PixelFlowTrigger(poll_url, "{{'x'*9}}", 1.0, output_key="{{1}}")
    waits.template_fields = ("poll_url", "segmind_conn_id", "output_key")
    waits.render_template_fields({})
    assert (waits.poll_url, waits.segmind_conn_id, waits.output_key) == (poll_url, "{{'x'*9}}", "{{1}}")


def test_what_a_worker_would_have_run_first_is_a_reason_to_go_there_at_the_end() -> None:
    args = sensor(on_execute_callback=lambda context: None).start_trigger_args
    assert args is not None
    ending = (args.trigger_kwargs or {})["ending"]
    assert [ending[name] for name in ("success", "failure", "skip")] == [False] * 3


def test_the_event_of_a_start_is_recognised_and_no_other() -> None:
    assert is_start(TriggerEvent(starting.event_of_start()).payload)
    assert not is_start({"status": "success"})
    assert not is_start("success")


@pytest.mark.parametrize("ahead", [-150.0, 0.0, 150.0])
@pytest.mark.parametrize(
    ("fault", "lasts", "seen"),
    [
        (between(20, 620, DOWN), 40.0, "COMPLETED"),
        (between(0, 60, GONE), 40.0, "COMPLETED"),
        (between(0, 9999, GONE), 40.0, "JobExpiredError"),
        (between(0, 0, GONE), 9999.0, "JobTimeoutError"),
    ],
    ids=["ten minutes of outage", "known late", "gone", "too slow"],
)
def test_a_sensor_that_starts_in_the_triggerer_has_the_patience_of_all_others(
    fault: Any, lasts: float, seen: str, ahead: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service(Clock(), fault, lambda _: lasts)
    world = World(monkeypatch, service, ahead)
    task = sensor(timeout=700.0, end_in_trigger=False)
    trigger = started(task, pulls({}))
    trigger.timeout_after = datetime.fromtimestamp(service.clock(), UTC) + timedelta(seconds=700.0 + BACKSTOP)
    event = run_virtually(world.clock, first_event(trigger))
    assert (event.get("job") or {}).get("status") == seen or event["error"]["type"] == seen
    assert service.clock.passed < {"JobExpiredError": 120, "COMPLETED": 665}.get(
        seen, 705 + BACKSTOP + max(0.0, -ahead)
    )
    assert seen != "JobTimeoutError" or service.clock.passed > 698


def pictures(emulator: Emulator) -> dict[str, str]:
    return {"character_image": emulator.sample("scene"), "reference_character_image": emulator.sample("person")}
