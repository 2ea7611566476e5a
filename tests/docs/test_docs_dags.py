"""Every DAG of the README, docs/ and example_dags/ can be run by its schedule, by hand, by REST and by the form."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.definitions.param import process_params
from airflow.sdk.execution_time.context import MacrosAccessor
from jinja2 import UndefinedError

from airflow_provider_segmind.sensors.body_swap import BodySwapSensor
from tests.docs.pages import ROOT, blocks

CODE = {str(block): block.code for block in blocks("python") if block.dag_id}
CODE |= {path.name: path.read_text() for path in sorted((ROOT / "example_dags").glob("*.py"))}

WITHOUT_A_LOGICAL_DATE = "run by hand or by REST"
BY_SCHEDULE = "run by its schedule"
_DATED = ("ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz", "logical_date", "data_interval_start")
"""What only a run with a logical date has."""


@pytest.fixture(params=CODE.items(), ids=CODE)
def dag(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> DAG:
    """The DAG that a page shows, parsed."""
    name, code = request.param
    if "standard.operators.hitl" in code:
        pytest.importorskip("airflow.providers.standard.operators.hitl", exc_type=ImportError)
    made: list[DAG] = []
    enter = DAG.__enter__
    monkeypatch.setattr(DAG, "__enter__", lambda entered: made.append(entered) or enter(entered))
    exec(compile(code, name, "exec"), {"__name__": "a_dag_of_the_docs", "__file__": name})  # noqa: S102
    (dag,) = made
    return dag


def context_of(dag: DAG, task: Any, how: str, conf: dict[str, Any]) -> dict[str, Any]:
    """Return what Airflow's task runner gives the templates of a task, as far as a page may use it."""
    run_after = datetime.now(UTC)
    dated = {name: f"the {name}" for name in _DATED} if how == BY_SCHEDULE else {}
    ti = SimpleNamespace(
        dag_id=dag.dag_id, task_id=task.task_id, run_id="run", map_index=0, try_number=1, xcom_pull=_pulled
    )
    return {
        **dated,
        "dag": dag,
        "dag_run": SimpleNamespace(run_id="run", run_after=run_after, conf=conf, logical_date=None),
        "run_id": "run",
        "ti": ti,
        "task_instance": ti,
        "task": task,
        "macros": MacrosAccessor(),
        "var": SimpleNamespace(value=defaultdict(str), json=defaultdict(dict)),
        "params": process_params(dag, task, conf, suppress_exception=False),
    }


def _pulled(*_: Any, **__: Any) -> Any:
    return {"poll_url": "https://a.example/1", "image_url": "https://a.example/1.png", "files": [{}]}


def texts(value: Any) -> Iterator[str]:
    """Return the texts in a value that Airflow renders; what comes of another task is that task's."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from texts(inner)


def templates(task: Any) -> Iterator[str]:
    """Return the templates of a task, mapped or not, with that of its map index."""
    given = getattr(task, "partial_kwargs", None)
    mapped = getattr(getattr(task, "expand_input", None) or getattr(task, "op_kwargs_expand_input", None), "value", {})
    for name in task.template_fields:
        value = getattr(task, name, None) if given is None else given.get(name)
        yield from texts(value)
    yield from texts(mapped if isinstance(mapped, dict) else None)
    yield from texts(task.map_index_template)


def form(dag: DAG) -> dict[str, Any]:
    """Return what the UI's form sends: the default of each param, and a text or number where a person must give one."""
    sent = {}
    for name, param in dag.params.items():
        kind = (param.schema or {}).get("type")
        example = {"integer": 1, "number": 1, "boolean": True, "array": ["x"], "object": {}}
        text = "https://a.example/x.png" if "pattern" in (param.schema or {}) else "x"
        sent[name] = param.value if param.has_value else example.get(kind, text)
    return sent


def test_airflow_still_refuses_the_day_of_a_run_without_a_logical_date() -> None:
    """Otherwise the next test would prove nothing."""
    with DAG("dated", schedule=None) as dag:
        task = BodySwapSensor(task_id="wait", poll_url="{{ ds }}")
    context = context_of(dag, task, WITHOUT_A_LOGICAL_DATE, {})
    with pytest.raises(UndefinedError, match="'ds' is undefined"):
        task.get_template_env(dag).from_string(task.poll_url).render(context)


@pytest.mark.parametrize("how", [WITHOUT_A_LOGICAL_DATE, BY_SCHEDULE])
def test_every_template_renders(dag: DAG, how: str) -> None:
    seen = 0
    for task in dag.tasks:
        context = context_of(dag, task, how, form(dag))
        env = task.get_template_env(dag)
        for template in templates(task):
            env.from_string(template).render(context)
            seen += 1
    assert seen or all("{{" not in str(vars(task)) for task in dag.tasks)


def test_no_function_asks_for_what_a_run_by_hand_has_not(dag: DAG) -> None:
    for task in dag.tasks:
        function = getattr(task, "python_callable", None) or getattr(task, "partial_kwargs", {}).get("python_callable")
        if function is not None:
            assert set(_DATED) & set(inspect.signature(function).parameters) == set()


def test_the_form_sends_params_that_are_valid(dag: DAG) -> None:
    for task in dag.tasks:
        process_params(dag, task, form(dag), suppress_exception=False)
    for param in dag.params.values():
        if param.has_value:
            param.resolve()


def test_a_dag_with_a_schedule_needs_nobody_to_fill_in_a_form(dag: DAG) -> None:
    if dag.schedule is not None:
        for task in dag.tasks:
            process_params(dag, task, None, suppress_exception=False)
