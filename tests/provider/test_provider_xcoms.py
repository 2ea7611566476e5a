"""What comes out of an XCom, a manifest or a sidecar is data: no worker writes where it says or renders it."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.files.objects import storage_path
from airflow_provider_segmind.files.publish import put
from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator, BodySwapOperator
from airflow_provider_segmind.operators.quality import CheckSwapOperator
from airflow_provider_segmind.transfers.object_storage import SegmindToObjectStorageOperator
from tests.provider.running import TaskInstance, context, run
from tests.provider.test_provider_dag_run import dag_test
from tests.provider.test_provider_decorator import Tried, pictures
from tests.provider.test_provider_inputs import asked  # noqa: F401 - a fixture


class Own(TaskInstance):
    """A task instance of a DAG."""

    def __init__(self, dag_id: str) -> None:
        super().__init__()
        self.dag_id = dag_id


def inside(dag_id: str) -> Any:
    return context(Own(dag_id))


def kept(emulator: Emulator, folder: Path, dag_id: str = "own") -> dict[str, Any]:
    """Swap and store, and return what the storage operator returned."""
    swap = BodySwapOperator(task_id="swap", poll_interval=0.05, **pictures(emulator))
    keep = SegmindToObjectStorageOperator(task_id="keep", results=run(swap), destination=str(folder))
    stored: dict[str, Any] = keep.execute(inside(dag_id))
    return stored


def checked(emulator: Emulator, results: Any, dag_id: str = "own") -> Any:
    task = CheckSwapOperator(task_id="check", results=results, qa=False, **pictures(emulator))
    return task.execute(inside(dag_id))


def files_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return all files below a folder, with their modes."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) for path in found}


class TestSidecars:
    def test_a_report_goes_into_the_sidecar_that_the_same_dag_wrote_whose_mode_stays(
        self, emulator: Emulator, tmp_path: Path
    ) -> None:
        stored = kept(emulator, tmp_path)
        sidecar = Path(stored["files"][0]["sidecar"])
        sidecar.chmod(0o600)
        report = checked(emulator, stored)
        assert json.loads(sidecar.read_text())["checks"] == report
        assert json.loads(sidecar.read_text())["dag_id"] == "own"
        assert stat.S_IMODE(sidecar.stat().st_mode) == 0o600

    def test_a_key_file_that_an_xcom_names_is_left_alone(self, emulator: Emulator, tmp_path: Path) -> None:
        stored = kept(emulator, tmp_path / "own")
        key = tmp_path / "key.json"
        key.write_text('{"private_key": "5ecret"}')
        key.chmod(0o600)
        files = [{**stored["files"][0], "sidecar": str(key)}]
        (tmp_path / "key.png").write_bytes(Path(stored["uri"]).read_bytes())
        before = files_of(tmp_path)
        checked(emulator, {**stored, "uri": str(tmp_path / "key.png"), "files": files})
        assert files_of(tmp_path) == before

    @pytest.mark.parametrize("change", ["another DAG's", "another request's", "another picture's"])
    def test_a_sidecar_of_something_else_is_left_alone(self, emulator: Emulator, tmp_path: Path, change: str) -> None:
        stored = kept(emulator, tmp_path, "foreign" if change == "another DAG's" else "own")
        if change == "another picture's":
            Path(stored["uri"]).write_bytes(Path(stored["files"][0]["thumbnail"]).read_bytes())
        if change == "another request's":
            stored["request_id"] = "0" * 32
        before = files_of(tmp_path)
        task = CheckSwapOperator(task_id="check", results=stored, qa=False, on_failure="report", **pictures(emulator))
        task.execute(inside("own"))
        assert files_of(tmp_path) == before

    @pytest.mark.parametrize("scheme", ["http", "simplecache::http", "webhdfs"])
    def test_a_sidecar_on_a_web_server_is_neither_fetched_nor_posted_to(
        self,
        emulator: Emulator,
        tmp_path: Path,
        scheme: str,
        asked: tuple[str, list[str]],  # noqa: F811
    ) -> None:
        stored, (address, seen) = kept(emulator, tmp_path), asked
        sidecar = f"{scheme}://{address}/a.json"
        checked(emulator, {**stored, "files": [{**stored["files"][0], "sidecar": sidecar}]})
        with pytest.raises(AirflowFailException):
            checked(emulator, {**stored, "uri": f"{scheme}://{address}/a.png", "files": [{"sidecar": sidecar}]})
        assert seen == []

    def test_what_a_sidecar_says_does_not_decide_which_file_is_taken_for_the_stored_one(
        self, emulator: Emulator, tmp_path: Path
    ) -> None:
        swap = run(BodySwapOperator(task_id="swap", poll_interval=0.05, **pictures(emulator)))
        keep = SegmindToObjectStorageOperator(task_id="keep", results=swap, destination=str(tmp_path))
        first = keep.execute(inside("own"))
        sidecar = Path(first["files"][0]["sidecar"])
        lies = {"uri": "s3://team_b@bucket/a.png", "thumbnail": "/etc/passwd", "sidecar": "/etc/shadow"}
        sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), **lies}))
        again = keep.execute(inside("own"))
        assert again["files"] == [{**first["files"][0], "skipped": True}]


class TestManifests:
    @pytest.fixture
    def batch(self, emulator: Emulator, tmp_path: Path) -> dict[str, Any]:
        """Return what a batch of the DAG 'own' returned."""
        swaps = [pictures(emulator, number) for number in range(2)]
        task = BodySwapBatchOperator(
            task_id="batch", swaps=swaps, results_uri=str(tmp_path / "batch" / "results.jsonl"), poll_interval=0.05
        )
        summary: dict[str, Any] = run(task, inside("own"))
        return summary

    def test_the_dag_that_ordered_a_batch_writes_beside_its_manifest(
        self, emulator: Emulator, batch: dict[str, Any], tmp_path: Path
    ) -> None:
        keep = SegmindToObjectStorageOperator(task_id="keep", results=batch, destination=str(tmp_path / "kept"))
        stored = keep.execute(inside("own"))
        assert stored["stored_uri"] == f"{batch['results_uri']}.stored.jsonl"
        report = CheckSwapOperator(task_id="check", results=stored, qa=False).execute(inside("own"))
        assert report["reports_uri"] == f"{batch['results_uri']}.checks.jsonl"

    def test_another_dag_that_is_given_the_manifest_writes_into_its_own_destination_alone(
        self, emulator: Emulator, batch: dict[str, Any], tmp_path: Path
    ) -> None:
        before = files_of(tmp_path / "batch")
        keep = SegmindToObjectStorageOperator(task_id="keep", results=batch, destination=str(tmp_path / "kept"))
        stored = keep.execute(inside("other"))
        assert Path(stored["stored_uri"]).parent == tmp_path / "kept"
        assert stored["stored_uri"].endswith("-results.jsonl.stored.jsonl")
        report = CheckSwapOperator(task_id="check", results=stored, qa=False).execute(inside("other"))
        assert (report["checked"], report["passed"]) == (2, 2)
        assert "reports_uri" not in report
        assert files_of(tmp_path / "batch") == before

    def test_a_manifest_on_a_web_server_is_not_asked_for(
        self,
        emulator: Emulator,
        tmp_path: Path,
        asked: tuple[str, list[str]],  # noqa: F811
    ) -> None:
        address, seen = asked
        for uri in (f"http://{address}/r.jsonl", f"simplecache::http://{address}/r.jsonl"):
            for task in (
                SegmindToObjectStorageOperator(task_id="keep", results={"results_uri": uri}, destination=str(tmp_path)),
                CheckSwapOperator(task_id="check", results={"results_uri": uri}, qa=False),
                BodySwapBatchOperator(task_id="order", swaps=uri, results_uri=str(tmp_path / "r.jsonl")),
            ):
                with pytest.raises(
                    AirflowFailException, match=r"no storage that this Airflow knows|must be an https:// URL"
                ):
                    task.execute(inside("own"))
        assert seen == []


def test_a_file_that_is_written_anew_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("{}")
    file.chmod(0o640)
    put(storage_path("a", str(file)), b"[]")
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"[]", 0o640)
    with pytest.raises(InvalidRequestError):
        storage_path("a", "s3://[no")


KEY_PLEASE = "{{ conn.segmind_default.password }}"
CAPTIONS = [KEY_PLEASE, "the man {# on the left", "{% raw", "{{ 1 / 0 }}"]


@pytest.mark.parametrize("caption", CAPTIONS)
def test_what_a_function_returns_is_sent_as_it_is(emulator: Emulator, tmp_path: Path, caption: str) -> None:
    Tried(lambda: {**pictures(emulator), "select_character": caption}).attempt()
    many = Tried(
        lambda: [{**pictures(emulator, 1), "select_character": caption, "id": caption}],
        results_uri=str(tmp_path / "results.jsonl"),
    )
    many.attempt()
    assert [charge.inputs["select_character"] for charge in emulator.charges] == [caption] * 2
    assert json.loads((tmp_path / "results.jsonl").read_text())["id"] == caption


def test_a_decorated_function_names_what_it_returned_without_a_signature(emulator: Emulator) -> None:
    secret = "5ecret"
    with pytest.raises(AirflowFailException, match=r"pictures\.example") as error:
        Tried(lambda: f"https://pictures.example/swaps.csv?sig={secret}").start()
    assert secret not in str(error.value)


DAG_OF_ALL_SHAPES = """
from airflow.sdk import DAG, Param, task

from airflow_provider_segmind.operators.body_swap import (
    BodySwapBatchOperator,
    BodySwapOperator,
    SubmitBodySwapBatchOperator,
    SubmitBodySwapOperator,
)
from airflow_provider_segmind.operators.pixelflow import SubmitPixelFlowOperator
from airflow_provider_segmind.transfers.object_storage import SegmindToObjectStorageOperator

SCENE, PERSON, WORKFLOW = "{scene}", "{person}", "678b67a76426baad7e539337-v4"
PAIR = dict(character_image=SCENE, reference_character_image=PERSON)
QUICK = dict(poll_interval=0.2, deferrable=False)

with DAG("shapes", schedule=None, params={{"captions": Param([], type="array"), "caption": ""}}):

    @task
    def captions(params):
        return params["captions"]

    @task
    def caption(params):
        return params["captions"][0]

    @task
    def rows(params):
        return [dict(PAIR, select_character=text, id=text) for text in params["captions"]]

    @task
    def kwargs(params):
        return [dict(PAIR, select_character=text) for text in params["captions"]]

    @task
    def details(params):
        return {{"note": params["captions"][0]}}

    one = caption()
    SubmitBodySwapOperator(task_id="field", select_character=one, **PAIR)
    SubmitBodySwapOperator(
        task_id="pulled", select_character="{{{{ ti.xcom_pull(task_ids='caption') }}}}", **PAIR
    ).set_upstream(one.operator)
    SubmitBodySwapOperator(task_id="param", select_character="{{{{ params.caption }}}}", **PAIR)
    SubmitBodySwapOperator.partial(task_id="mapped", **PAIR).expand(select_character=captions())
    SubmitBodySwapOperator.partial(task_id="mapped_by_function", **PAIR).expand(
        select_character=captions().map(lambda text: text)
    )
    SubmitBodySwapOperator.partial(
        task_id="mapped_kwargs", consent_reference="{{{{ dag.dag_id }}}} {{{{ params.caption }}}}"
    ).expand_kwargs(kwargs())
    SubmitBodySwapOperator.partial(task_id="written_kwargs", **PAIR).expand_kwargs(
        [dict(select_character="in {{{{ dag.dag_id }}}}")]
    )
    SubmitPixelFlowOperator(
        task_id="inputs", workflow=WORKFLOW, inputs=dict(PAIR, select_character=one)
    )
    SubmitPixelFlowOperator.partial(task_id="mapped_inputs", workflow=WORKFLOW).expand(inputs=kwargs())
    SubmitBodySwapBatchOperator(task_id="swaps", swaps=rows())
    BodySwapBatchOperator(
        task_id="nested", swaps=[dict(PAIR, select_character=one, id=one)], results_uri="{folder}/nested.jsonl", **QUICK
    )
    BodySwapBatchOperator(task_id="manifest", swaps="{folder}/swaps.jsonl", results_uri="{folder}/m.jsonl", **QUICK)

    @task.body_swap(results_uri="{folder}/decorated.jsonl", **QUICK)
    def decorated(rows):
        return rows

    @task.body_swap(**QUICK)
    def decorated_one(text):
        return dict(PAIR, select_character=text)

    decorated(rows())
    @task.body_swap(select_character="not sent", consent_reference="{{{{ dag.dag_id }}}}", **QUICK)
    def decorated_kwargs(given, select_character, character_image, reference_character_image):
        assert given == "shapes"
        return dict(PAIR, select_character=select_character)

    decorated_one.expand(text=captions())
    decorated_kwargs.partial(given="{{{{ dag.dag_id }}}}").expand_kwargs(kwargs())
    swap = BodySwapOperator(task_id="swap", select_character="woman", **PAIR, **QUICK)
    SegmindToObjectStorageOperator(task_id="keep", results=swap.output, destination="{folder}/kept", details=details())
"""


@pytest.mark.slow
@pytest.mark.usefixtures("airflow_db")
def test_in_an_airflow_no_shape_of_a_task_renders_what_came_from_an_xcom(emulator: Emulator, tmp_path: Path) -> None:
    captions = CAPTIONS[:2]
    emulator.set(job_polls=1)
    code = DAG_OF_ALL_SHAPES.format(
        scene=emulator.sample("scene"), person=emulator.sample("person"), folder=tmp_path / "files"
    )
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "shapes.py").write_text(code)
    (tmp_path / "files").mkdir()
    rows = [{**pictures(emulator), "select_character": caption, "id": caption} for caption in captions]
    (tmp_path / "files" / "swaps.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    conf = {"captions": captions, "caption": captions[0]}
    dag_test("shapes", conf, AIRFLOW__CORE__DAGS_FOLDER=str(tmp_path / "dags"))
    sent = [charge.inputs["select_character"] for charge in emulator.charges]
    first, both = 5, 9
    assert sorted(sent) == sorted([captions[0]] * (first + both) + [captions[1]] * both + ["in shapes", "woman"])
    (sidecar,) = (tmp_path / "files" / "kept").rglob("*.json")
    assert json.loads(sidecar.read_text())["note"] == captions[0]
    written = (path.read_bytes() for path in (tmp_path / "files").rglob("*.json*") if path.is_file())
    assert emulator.api_key.encode() not in b"".join(written)
