"""The memory's command line says what is paid for, and removes a person's pictures; it orders nothing."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api import memory as swaps
from airflow_provider_segmind.api import rescue as needs
from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.memory import swaps as memory_swaps
from airflow_provider_segmind.memory.__main__ import main
from airflow_provider_segmind.operators.body_swap import (
    BodySwapOperator,
    SubmitBodySwapBatchOperator,
    SubmitBodySwapOperator,
)
from tests.api.clock import Clock
from tests.provider.conftest import connect
from tests.provider.remembering import in_run, memory, pictures, submit, swap, task_of, turned
from tests.provider.running import context, run

__all__ = ["memory"]

PRICE = 0.25


@pytest.fixture(autouse=True)
def old_orders_with_a_price(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__SEGMIND__PRICE_PER_SWAP", str(PRICE))
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "")  # as main() would set it, for the other tests
    monkeypatch.setattr(needs, "OLD", 0.0)


class Command:
    """Runs commands and returns what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str, status: int = 0) -> str:
        self._capsys.readouterr()
        assert main(arguments) == status
        said = self._capsys.readouterr()
        return said.err if status == 1 else said.out


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def ctx(run_id: str, dag_id: str = "looks") -> Any:
    return context(task_of(run_id=run_id, dag_id=dag_id))


def made(emulator: Emulator, scene: int = 0, person: int = 0, dag_id: str = "looks") -> dict[str, Any]:
    return in_run(swap(emulator, **pictures(emulator, scene, person)), f"{scene} {person}", dag_id=dag_id)


def everything(memory: Path) -> str:
    """Return all names and all texts of the memory."""
    paths = [path for path in memory.rglob("*") if path.is_file()]
    texts = [path.read_bytes().decode(errors="replace") for path in paths if path.suffix == ".json"]
    return "\n".join([*map(str, paths), *texts])


# plan


def test_a_plan_says_what_a_manifest_would_order_and_cost_and_orders_nothing(
    emulator: Emulator, tmp_path: Path, command: Command
) -> None:
    manifest = tmp_path / "swaps.json"
    rows: list[dict[str, Any]] = [pictures(emulator, number) for number in range(5)]
    rows[4]["takes"] = 3
    manifest.write_text(json.dumps(rows))
    assert re.fullmatch(r"to order: 7, for \$1\.75, in about \d+ s\nreused:   0\n", command("plan", str(manifest)))
    SubmitBodySwapBatchOperator(task_id="task", swaps=[pictures(emulator, number) for number in (0, 1, 4)]).execute(
        ctx("a")
    )
    assert re.fullmatch(r"to order: 4, for \$1\.00, in about \d+ s\nreused:   3\n", command("plan", str(manifest)))
    assert len(emulator.charges) == 3
    SubmitBodySwapBatchOperator(task_id="task", swaps=str(manifest)).execute(ctx("b"))
    assert command("plan", str(manifest)) == "to order: 0, for $0.00, in about 0 s\nreused:   7\n"
    assert len(emulator.charges) == 7


def test_a_plan_says_how_long_it_takes_at_the_pace_of_the_connection(
    emulator: Emulator, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = tmp_path / "swaps.json"
    manifest.write_text(json.dumps([{**pictures(emulator), "takes": 50}]))
    connect(monkeypatch, emulator, extra={"requests_per_minute": 60})
    assert "in about 8 min" in command("plan", str(manifest))


def test_a_plan_counts_what_is_of_unknown_outcome_apart(
    emulator: Emulator, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swaps, "SENDING", 0.0)
    emulator.script(Fault("drop-after"), Fault("500", on="history", times=None))
    with pytest.raises((SegmindError, AirflowFailException)):
        made(emulator)
    manifest = tmp_path / "swaps.json"
    manifest.write_text(json.dumps([pictures(emulator, number) for number in range(2)]))
    assert re.search(r"to order: 1, .*\nreused:   0\nunknown:  1: .*Run rescue", command("plan", str(manifest)))


def test_a_plan_does_not_count_on_what_segmind_may_have_forgotten(
    emulator: Emulator, memory: Path, tmp_path: Path, command: Command
) -> None:
    submit(emulator, "a")
    (path,) = (memory / "swaps").rglob("*.json")
    said = json.loads(path.read_bytes())
    path.write_text(json.dumps({**said, "order": {**said["order"], "at": said["order"]["at"] - 4 * 3600}}))
    emulator.script(Fault("expired", on="poll", times=None))
    manifest = tmp_path / "swaps.json"
    manifest.write_text(json.dumps([pictures(emulator)]))
    assert re.search(r"to order: 0, .*\nreused:   0\nunknown:  1: .*Run rescue", command("plan", str(manifest)))
    assert "lost: " in command("rescue")
    assert "to order: 1, for $0.25" in command("plan", str(manifest))


def test_a_manifest_that_cannot_be_read_is_named(emulator: Emulator, tmp_path: Path, command: Command) -> None:
    assert "none.csv" in command("plan", str(tmp_path / "none.csv"), status=1)


def test_a_picture_that_cannot_be_read_is_named(emulator: Emulator, tmp_path: Path, command: Command) -> None:
    manifest = tmp_path / "swaps.json"
    manifest.write_text(json.dumps([{**pictures(emulator), "character_image": str(tmp_path / "none.png")}]))
    assert "none.png" in command("plan", str(manifest), status=1)


# costs


def test_costs_are_a_table_by_day_and_dag(emulator: Emulator, command: Command) -> None:
    made(emulator, 0)
    made(emulator, 1, dag_id="hats")
    made(emulator, 0, dag_id="again")
    lines = command("costs", "--days", "2").splitlines()
    assert re.split(" {2,}| (?=[a-zD])", lines[0])[:4] == ["day (UTC)", "ordered", "spent $", "reused"]
    assert [re.sub(" +", " ", line).partition(" ")[2] for line in lines[1:]] == [
        "0 0.00 1 0.25 0 0 0 0.00 0 again",
        "1 0.25 0 0.00 0 0 0 0.00 0 hats",
        "1 0.25 0 0.00 0 0 0 0.00 0 looks",
        "2 0.50 1 0.25 0 0 0 0.00 0 ",
    ]


@pytest.mark.parametrize("days", ["0", "many"])
def test_days_that_are_no_number_are_refused(days: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["costs", "--days", days])
    assert "--days" in capsys.readouterr().err


# rescue


def test_rescue_is_there_as_a_command(
    emulator: Emulator, clock: Clock, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_swaps, "FORGOTTEN", -1.0)  # one 404 is believed, so nothing is waited for
    emulator.set(job_seconds=0, record_seconds=3600)
    lost = SubmitBodySwapOperator(task_id="task", **pictures(emulator)).execute(ctx("a"))["request_id"]
    clock.ahead += 5 * 3600
    SubmitBodySwapOperator(task_id="task", **pictures(emulator, 1)).execute(ctx("b"))
    assert command("rescue") == f"looked at 2: 1 fetched, 0 failed, 0 running\nlost: {lost}\n"


# forget


@pytest.mark.parametrize("given", ["input", "result", "digest"])
def test_all_that_names_a_picture_is_removed_and_only_that_it_was_paid_for_stays(
    emulator: Emulator, memory: Path, tmp_path: Path, command: Command, given: str
) -> None:
    result = made(emulator, 0, 1)
    made(emulator, 1, 2)
    picture = tmp_path / "person.png"
    url = emulator.sample("person", 1) if given == "input" else result["image_url"]
    picture.write_bytes(urllib.request.urlopen(url).read())  # noqa: S310 - the emulator's own
    digest = hashlib.sha256(picture.read_bytes()).hexdigest()
    (record,) = (
        json.loads(path.read_bytes())
        for path in (memory / "swaps").rglob("*.json")
        if result["request_id"] in path.read_text()
    )
    said = command("forget", digest if given == "digest" else str(picture))
    assert said.startswith("removed 1 orders and 1 stored pictures\n")
    assert f"  request {result['request_id']}, dag_id looks, run_id 0 1, task_id task\n" in said
    left = everything(memory)
    for name in (record["key"], result["request_id"], *record["pictures"][1:], record["outputs"][0]["sha256"]):
        assert name not in left
    assert len(list((memory / "pictures").rglob("*.png"))) == 1
    assert "2 0.50" in re.sub(" +", " ", command("costs").splitlines()[-1])
    assert command("forget", digest) == "removed 0 orders and 0 stored pictures\n"
    assert "2 0.50" in re.sub(" +", " ", command("costs").splitlines()[-1])


def test_a_picture_that_was_prepared_before_it_was_sent_is_found(
    emulator: Emulator, memory: Path, tmp_path: Path, command: Command
) -> None:
    picture = turned(emulator, tmp_path / "turned.jpg")
    emulator.set(job_seconds=0)
    inputs = {**pictures(emulator), "reference_character_image": str(picture)}
    run(BodySwapOperator(task_id="task", poll_interval=0.05, **inputs), ctx("a"))
    assert command("forget", str(picture)).startswith("removed 1 orders")


@pytest.mark.parametrize("batch", [True, False])
def test_a_picture_is_found_by_its_own_bytes_though_it_is_prepared_otherwise_now(
    emulator: Emulator, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch, batch: bool
) -> None:
    from airflow_provider_segmind.quality import prepare

    picture = turned(emulator, tmp_path / "turned.jpg")
    inputs = {**pictures(emulator), "reference_character_image": str(picture)}
    task: Any = SubmitBodySwapOperator(task_id="task", **inputs)
    if batch:
        task = SubmitBodySwapBatchOperator(task_id="task", swaps=[inputs])
    task.execute(ctx("a"))
    monkeypatch.setattr(prepare, "_QUALITY", 91)  # as another build of Pillow would
    assert command("forget", str(picture)).startswith("removed 1 orders")


def test_a_picture_can_be_named_by_its_url_or_where_the_memory_has_it(
    emulator: Emulator, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(emulator, 0, 1)
    assert command("forget", emulator.sample("person", 1)).startswith("removed 1 orders")
    made(emulator, 0, 2)
    monkeypatch.setenv("AIRFLOW__SEGMIND__INPUT_ROOTS", str(tmp_path / "catalogue"))
    (copy,) = (tmp_path / "memory" / "pictures").rglob("*.png")
    assert command("forget", str(copy)).startswith("removed 1 orders")


def test_no_order_of_a_swap_is_forgotten_while_another_one_may_be_running(
    emulator: Emulator, memory: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(emulator)
    monkeypatch.setattr(needs, "OLD", 600.0)
    task = SubmitBodySwapOperator(task_id="task", reuse="refresh", **pictures(emulator))
    request_id = task.execute(ctx("b"))["request_id"]
    said = command("forget", emulator.sample("person"), status=2)
    assert "left, since it may be running: dag_id looks, run_id b, task_id task" in said
    again = SubmitBodySwapOperator(task_id="task", reuse_max_age=1e-6, **pictures(emulator)).execute(ctx("c"))
    assert (again["request_id"], len(emulator.charges)) == (request_id, 2)
    monkeypatch.setattr(needs, "OLD", 0.0)
    assert command("forget", emulator.sample("person")).startswith("removed 2 orders")


def test_every_swap_of_a_batch_with_the_person_is_forgotten(emulator: Emulator, memory: Path, command: Command) -> None:
    rows = [pictures(emulator, scene, person) for scene in range(3) for person in (0, 1)]
    SubmitBodySwapBatchOperator(task_id="task", swaps=rows).execute(ctx("a"))
    person = urllib.request.urlopen(emulator.sample("person", 1)).read()  # noqa: S310 - the emulator's own
    assert command("forget", hashlib.sha256(person).hexdigest()).startswith("removed 3 orders")
    assert len(list((memory / "swaps").rglob("*.json"))) == 3


def test_a_copy_that_its_record_does_not_name_yet_is_removed_as_well(
    emulator: Emulator, memory: Path, command: Command
) -> None:
    made(emulator)
    (path,) = (memory / "swaps").rglob("*.json")
    record = json.loads(path.read_bytes())
    path.write_text(json.dumps({**record, "state": "ordered", "outputs": []}))
    assert command("forget", record["pictures"][0]).startswith("removed 1 orders and 1 stored pictures")
    assert not list((memory / "pictures").rglob("*.png"))


def test_an_order_that_may_be_running_is_left_and_named(
    emulator: Emulator, memory: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs, "OLD", 600.0)
    SubmitBodySwapOperator(task_id="task", **pictures(emulator)).execute(ctx("a"))
    person = urllib.request.urlopen(emulator.sample("person")).read()  # noqa: S310 - the emulator's own
    said = command("forget", hashlib.sha256(person).hexdigest(), status=2)
    assert "left, since it may be running: dag_id looks, run_id a, task_id task. Do this again" in said
    assert len(list((memory / "swaps").rglob("*.json"))) == 1


def test_an_old_order_of_unknown_outcome_is_forgotten_and_stays_unknown_in_the_costs(
    emulator: Emulator, memory: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needs, "OLD", 600.0)
    made(emulator)
    (path,) = (memory / "swaps").rglob("*.json")
    record = json.loads(path.read_bytes())
    record["order"]["at"] -= 20 * 86400
    path.write_text(json.dumps({**record, "state": "claimed", "outputs": []}))
    assert command("forget", record["pictures"][0]).startswith("removed 1 orders")
    assert command("costs", "--days", "40").splitlines()[-1].split()[-1] == "1"


def test_orders_that_do_not_say_their_pictures_are_counted(emulator: Emulator, memory: Path, command: Command) -> None:
    made(emulator)
    (path,) = (memory / "swaps").rglob("*.json")
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "pictures": []}))
    assert "1 orders do not say which pictures they were made of" in command("forget", "a" * 64)


def test_a_picture_that_is_not_there_is_named(emulator: Emulator, tmp_path: Path, command: Command) -> None:
    assert "none.png" in command("forget", str(tmp_path / "none.png"), status=1)


def test_without_a_memory_each_command_says_what_to_do(
    emulator: Emulator, monkeypatch: pytest.MonkeyPatch, command: Command
) -> None:
    monkeypatch.setenv("AIRFLOW__SEGMIND__MEMORY", "")
    for words in (["plan", "x.csv"], ["costs"], ["rescue"], ["forget", "a" * 64]):
        assert "[segmind] memory is empty. Ask your Airflow administrator" in command(*words, status=1)


@pytest.mark.slow
def test_it_runs_as_a_program(emulator: Emulator, memory: Path) -> None:
    made(emulator)
    said = subprocess.run(
        [sys.executable, "-m", "airflow_provider_segmind.memory", "costs"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "looks" in said.stdout
