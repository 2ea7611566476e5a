"""``@task.body_swap``: what a function returns is ordered once, however the task waits, is resumed and tried again."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, task

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.batch import results as batch_results
from airflow_provider_segmind.compat import AirflowFailException, TaskDeferralTimeout, TaskDeferred
from airflow_provider_segmind.decorators.body_swap import body_swap_task
from airflow_provider_segmind.emulator import Emulator, Fault
from tests.provider.running import TaskInstance, first_event, revive
from tests.provider.test_provider_dag_run import dag_test
from tests.provider.tries import Store


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_results, "FLUSH_SECONDS", 0.05)


class Tried:
    """One task instance of a decorated function, tried as a scheduler would; each start is another process."""

    def __init__(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> None:
        self.calls = 0
        self.store = Store()
        self.tries = 0
        self.max_tries = 2
        self.arguments = arguments
        self.ti = TaskInstance()

        @functools.wraps(function)
        def swap(*given: Any, **more: Any) -> Any:
            self.calls += 1
            return function(*given, **more)

        swap.__name__ = "swap"
        self.decorated = body_swap_task(**{"poll_interval": 0.05, **options})(swap)

    def operator(self) -> Any:
        with DAG("decorated", schedule=None):
            return self.decorated(*self.arguments).operator

    def context(self) -> Any:
        self.tries += 1
        self.ti = TaskInstance(max_tries=self.max_tries, try_number=self.tries)
        return {"ti": self.ti, "task_state_store": self.store, "ds": "2026-11-24"}

    def start(self) -> Any:
        return self.operator().execute(self.context())

    def attempt(self) -> Any:
        context = self.context()
        try:
            return self.operator().execute(context)
        except TaskDeferred as deferred:
            event = asyncio.run(first_event(revive(deferred.trigger)))
            kwargs = json.loads(json.dumps({**(deferred.kwargs or {}), "event": event}))
            return self.operator().resume_execution(deferred.method_name, kwargs, context)


def pictures(emulator: Emulator, number: int = 0) -> dict[str, str]:
    return {
        "character_image": emulator.sample("scene", number),
        "reference_character_image": emulator.sample("person", number),
    }


class TestOne:
    def test_a_dict_is_one_swap_and_the_function_is_called_once(self, emulator: Emulator) -> None:
        emulator.set(job_polls=2)
        tried = Tried(lambda: {**pictures(emulator), "select_character": "the man"})
        result = tried.attempt()
        assert result["image_url"].startswith(emulator.url)
        assert tried.calls == 1
        (charge,) = emulator.charges
        assert charge.inputs == {**pictures(emulator), "select_character": "the man"}

    def test_what_the_function_does_not_say_the_decorator_does(self, emulator: Emulator) -> None:
        given = {**pictures(emulator), "select_character": None}
        Tried(lambda: given, select_character="the child").attempt()
        assert emulator.charges[0].inputs["select_character"] == "the child"

    def test_a_consent_is_taken_from_the_function(self, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW__SEGMIND__REQUIRE_CONSENT", "True")
        with pytest.raises(AirflowFailException, match="consent_reference is None"):
            Tried(lambda: pictures(emulator)).attempt()
        assert not emulator.charges
        Tried(lambda: {**pictures(emulator), "consent_reference": "consents/7"}).attempt()
        assert len(emulator.charges) == 1

    def test_neither_what_it_is_given_nor_what_it_returns_is_rendered(self, emulator: Emulator) -> None:
        seen = []

        def function(text: str) -> dict[str, str]:
            seen.append(text)
            return {**pictures(emulator), "select_character": "the one of {{ ds }}"}

        Tried(function, "a {{ raw }}").attempt()
        assert seen == ["a {{ raw }}"]
        assert emulator.charges[0].inputs["select_character"] == "the one of {{ ds }}"

    def test_a_retry_that_is_given_the_same_goes_on_with_the_order(self, emulator: Emulator) -> None:
        emulator.set(job_seconds=0.2)
        tried = Tried(lambda: pictures(emulator))
        with pytest.raises(TaskDeferred):
            tried.start()
        assert tried.attempt()["status"] == "COMPLETED"
        assert len(emulator.charges) == 1
        assert tried.calls == 2

    def test_a_retry_that_is_given_something_else_orders_nothing_and_says_so(self, emulator: Emulator) -> None:
        tried = Tried(lambda: pictures(emulator, tried.calls))
        with pytest.raises(TaskDeferred):
            tried.start()
        with pytest.raises(AirflowFailException, match="ordered something else") as error:
            tried.start()
        assert emulator.charges[0].request_id in str(error.value)
        assert len(emulator.charges) == 1

    def test_a_job_that_failed_is_ordered_again_by_the_retry(self, emulator: Emulator) -> None:
        emulator.script(Fault("failed-error"))
        tried = Tried(lambda: pictures(emulator))
        with pytest.raises(SegmindError):
            tried.attempt()
        assert tried.attempt()["status"] == "COMPLETED"
        assert len(emulator.charges) == 2

    def test_a_wait_that_airflow_ends_takes_the_result_that_is_there(self, emulator: Emulator) -> None:
        tried = Tried(lambda: pictures(emulator))
        context = tried.context()
        with pytest.raises(TaskDeferred):
            tried.operator().execute(context)
        result = tried.operator().resume_execution("__fail__", {"error": "Trigger timeout"}, context)
        assert result["status"] == "COMPLETED"
        assert tried.calls == 1

    def test_lineage_knows_the_pictures_after_the_wait(self, emulator: Emulator) -> None:
        tried = Tried(lambda: pictures(emulator))
        context = tried.context()
        with pytest.raises(TaskDeferred) as deferred:
            tried.operator().execute(context)
        event = asyncio.run(first_event(revive(deferred.value.trigger)))
        resumed = tried.operator()
        resumed.resume_execution(deferred.value.method_name, {**deferred.value.kwargs, "event": event}, context)
        lineage = resumed.get_openlineage_facets_on_complete(tried.ti)
        assert [one.namespace + one.name for one in lineage.inputs] == list(pictures(emulator).values())
        assert len(lineage.outputs) == 1


class TestMany:
    @pytest.fixture
    def results(self, tmp_path: Path) -> Path:
        return tmp_path / "results.jsonl"

    def test_a_list_is_a_batch(self, emulator: Emulator, results: Path) -> None:
        emulator.set(job_polls=2)
        tried = Tried(lambda: [{**pictures(emulator, n), "id": str(n)} for n in range(3)], results_uri=str(results))
        summary = tried.attempt()
        assert (summary["total"], summary["completed"]) == (3, 3)
        assert [json.loads(line)["id"] for line in results.read_text().splitlines()] == ["0", "1", "2"]
        assert tried.calls == 1
        assert len(emulator.charges) == 3

    def test_without_results_a_list_is_refused_before_anything_is_ordered(self, emulator: Emulator) -> None:
        tried = Tried(lambda: [pictures(emulator)])
        with pytest.raises(AirflowFailException, match=r"results_uri is missing.*@task\.body_swap\(results_uri="):
            tried.start()
        assert not emulator.charges

    def test_a_retry_with_the_same_list_orders_only_what_was_not_ordered(
        self, emulator: Emulator, results: Path
    ) -> None:
        emulator.set(job_seconds=0.2)
        tried = Tried(lambda: [pictures(emulator, n) for n in range(2)], results_uri=str(results))
        with pytest.raises(TaskDeferred):
            tried.start()
        assert tried.attempt()["completed"] == 2
        assert len(emulator.charges) == 2

    def test_a_retry_with_another_list_orders_nothing(self, emulator: Emulator, results: Path) -> None:
        tried = Tried(lambda: [pictures(emulator, n) for n in range(tried.calls)], results_uri=str(results))
        with pytest.raises(TaskDeferred):
            tried.start()
        with pytest.raises(AirflowFailException, match="ordered another batch"):
            tried.start()
        assert len(emulator.charges) == 1

    @pytest.mark.parametrize("first", ["one", "many"])
    def test_a_retry_that_is_given_the_other_kind_orders_nothing(
        self, emulator: Emulator, results: Path, first: str
    ) -> None:
        def function() -> Any:
            one = pictures(emulator)
            return one if (tried.calls == 1) == (first == "one") else [one]

        tried = Tried(function, results_uri=str(results))
        with pytest.raises(TaskDeferred):
            tried.start()
        with pytest.raises(SegmindError, match="Clearing the task orders what it returns now") as error:
            tried.start()
        assert emulator.charges[0].request_id in str(error.value)
        assert len(emulator.charges) == 1
        tried.max_tries += 2  # a person's clear
        with pytest.raises(TaskDeferred):
            tried.start()
        assert len(emulator.charges) == 2

    def test_when_airflow_ends_the_wait_for_a_batch_the_retry_goes_on(self, emulator: Emulator, results: Path) -> None:
        tried = Tried(lambda: [pictures(emulator)], results_uri=str(results))
        context = tried.context()
        with pytest.raises(TaskDeferred):
            tried.operator().execute(context)
        with pytest.raises(TaskDeferralTimeout):
            tried.operator().resume_execution("__fail__", {"error": "Trigger timeout"}, context)
        assert tried.attempt()["completed"] == 1
        assert len(emulator.charges) == 1

    def test_what_the_decorated_task_would_lose_decides_where_the_batch_ends(
        self, emulator: Emulator, results: Path
    ) -> None:
        def ending(**options: Any) -> dict[str, bool]:
            tried = Tried(lambda: [pictures(emulator)], results_uri=str(results), **options)
            with pytest.raises(TaskDeferred) as deferred:
                tried.start()
            return revive(deferred.value.trigger).ending.to_json()

        assert ending()["success"] == (version("apache-airflow") >= "3.3")
        assert not ending(on_success_callback=lambda context: None)["success"]

    def test_killing_says_how_many_go_on(
        self, emulator: Emulator, results: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        operator = Tried(lambda: [pictures(emulator)], results_uri=str(results))
        task = operator.operator()
        task.on_kill()
        assert "an order that was just being sent" in capsys.readouterr().out
        with pytest.raises(TaskDeferred):
            task.execute(operator.context())
        task.on_kill()
        assert "1 swaps go on" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, r"returned None: let it return a dict"),
        ("s3://photos/swaps.csv", r"returned 's3://photos/swaps\.csv'"),
        ({}, r"no character_image and no reference_character_image"),
        ({"character_image": "https://a/b.png"}, r"no reference_character_image"),
        ({"character_image": "a", "reference_character_image": "b", "prompt": "c"}, r"returned prompt, which no swap"),
        ([{"character_image": "a"}], r"item 0: .*reference_character_image"),
        ([], r"there is nothing to swap"),
    ],
)
def test_what_is_no_swap_is_refused_for_good(emulator: Emulator, returned: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(AirflowFailException, match=said):
        Tried(lambda: returned, results_uri=str(tmp_path / "results.jsonl")).start()
    assert not emulator.charges


def test_pictures_are_no_arguments_of_the_decorator() -> None:
    with pytest.raises(TypeError, match=r"takes no character_image, swaps: its function returns"):
        Tried(lambda: {"a": 1}, character_image="a", swaps=[]).operator()


def test_the_type_of_the_inputs_does_not_make_many_outputs() -> None:
    """TaskFlow takes a function that returns a dict for a task with many outputs; here that is not the result."""

    def function() -> dict[str, str]:
        return {}

    with DAG("decorated", schedule=None):
        assert not body_swap_task(function)().operator.multiple_outputs


def test_it_can_be_overridden_and_mapped_and_is_known_to_airflow() -> None:
    with DAG("decorated", schedule=None) as dag:

        @task.body_swap(select_character="the man")
        def swap(scene: str, person: str) -> dict[str, str]:
            return {"character_image": scene, "reference_character_image": person}

        one = swap.override(task_id="other", retries=7)("a", "b").operator
        many = swap.partial(person="b").expand(scene=["a", "c"]).operator
    assert (one.task_id, one.retries, one.select_character) == ("other", 7, "the man")
    assert many.partial_kwargs["select_character"] == "the man"
    assert set(dag.task_dict) == {"other", "swap"}


DAGS = """
from airflow.sdk import DAG, Param, task

with DAG("decorated_swaps", schedule=None, params={"scenes": Param([], type="array"), "person": "", "results": ""}):

    @task
    def scenes(params):
        return params["scenes"]

    @task.body_swap(poll_interval=0.2)
    def one(scene, params):
        print("ONE WAS CALLED")
        return {"character_image": scene, "reference_character_image": params["person"]}

    @task.body_swap(results_uri="{{ params.results }}", poll_interval=0.2)
    def many(scenes, params):
        print("MANY WAS CALLED")
        return [{"character_image": scene, "reference_character_image": params["person"]} for scene in scenes]

    @task
    def use(swaps, summary):
        print("PICTURES", len([swap["image_url"] for swap in swaps]), "AND", summary["completed"])

    found = scenes()
    use(one.override(do_xcom_push=True).expand(scene=found), many(found))
"""


@pytest.mark.slow
@pytest.mark.usefixtures("airflow_db")
def test_it_runs_mapped_and_as_a_batch_in_an_airflow(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=1, job_polls=1)
    (tmp_path / "decorated.py").write_text(DAGS)
    conf = {
        "scenes": [emulator.sample("scene", number) for number in range(2)],
        "person": emulator.sample("person"),
        "results": str(tmp_path / "results.jsonl"),
    }
    printed = dag_test("decorated_swaps", conf, AIRFLOW__CORE__DAGS_FOLDER=str(tmp_path))
    assert "PICTURES 2 AND 2" in printed
    assert (printed.count("ONE WAS CALLED"), printed.count("MANY WAS CALLED")) == (2, 1)
    assert "outside of the Task Runner" not in printed
    assert len(emulator.charges) == 4
    assert {charge.defaulted for charge in emulator.charges} == {()}
