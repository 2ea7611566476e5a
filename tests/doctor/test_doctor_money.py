"""At most one order for each folder, whatever happens to the runs; and what is ordered is gone on with."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.doctor.cassette import Folder
from airflow_provider_segmind.emulator import Emulator, Fault
from tests.api.clock import Clock
from tests.doctor.conftest import differs, run, seen

ROOT = Path(__file__).parents[2]


def interrupted() -> Clock:
    """Return a clock at whose first pause somebody presses Ctrl-C."""

    def press(_: float) -> None:
        raise KeyboardInterrupt

    clock = Clock()
    clock.sleep = press
    return clock


def test_the_record_of_an_order_is_there_when_the_service_takes_it(tmp_path, clock):
    found = []

    def look(event: str, _: object) -> None:
        if event == "submitted":
            found.append(json.loads((tmp_path / "order.json").read_text())["record"]["state"])

    with Emulator(clock=clock, announce=look) as emulator:
        run(emulator, tmp_path, clock)
    assert found == ["intent"]


def test_without_order_nothing_is_ordered(tmp_path, clock):
    with Emulator(clock=clock) as emulator:
        report = run(emulator, tmp_path, clock, order=False)
        assert emulator.charges == ()
    assert differs(report) == {}
    assert "auth" in seen(report)
    assert "only an order shows it (--order)" in str(report)


def test_who_does_not_agree_orders_nothing_and_is_told_the_price_first(tmp_path, clock):
    asked = []
    with Emulator(clock=clock, credits=12.5) as emulator:
        report = run(emulator, tmp_path, clock, agree=lambda question: bool(asked.append(question)))
        assert emulator.charges == ()
    assert "$0.2687" in asked[0]
    assert "$12.50" in asked[0]
    assert "not agreed to" in str(report)


def test_a_further_run_orders_nothing_and_looks_whether_record_and_picture_are_still_there(tmp_path, clock):
    with Emulator(clock=clock, record_seconds=7200) as emulator:
        run(emulator, tmp_path, clock)
        clock.sleep(7000)
        assert seen(run(emulator, tmp_path, clock))["record-life"] == "an hour or more"
        clock.sleep(700)
        assert seen(run(emulator, tmp_path, clock, order=False))["record-life"] == "an hour or more"
        assert len(emulator.charges) == 1


def test_a_run_that_comes_back_late_invents_nothing(tmp_path, clock):
    with Emulator(clock=clock, job_seconds=60, record_seconds=6 * 86400) as emulator:
        run(emulator, tmp_path, interrupted())
        clock.sleep(5 * 86400)
        late = run(emulator, tmp_path, clock)
        assert seen(late)["job-end"] == "COMPLETED"
        assert "duration" not in seen(late)
        clock.sleep(5 * 86400)
        later = run(emulator, tmp_path, clock)
    assert "record-life" not in seen(later)
    assert differs(later).keys() <= {"clock"}  # the emulator's answers have the real date


@pytest.mark.parametrize("kind", ["drop-after", "500-after", "truncated", "no-poll-url"])
def test_an_order_whose_answer_is_lost_is_looked_up_and_watched_to_its_end(kind, tmp_path, clock):
    with Emulator(clock=clock, job_seconds=30) as emulator:
        emulator.script(Fault(kind, after=1))
        report = run(emulator, tmp_path, clock)
        assert len(emulator.charges) == 1
    assert seen(report)["job-end"] == "COMPLETED"


@pytest.mark.parametrize("kind", ["drop-before", "drop-after"])
def test_an_order_that_nobody_knows_of_is_never_sent_again(kind, tmp_path, clock):
    with Emulator(clock=clock, history=False) as emulator:
        emulator.script(Fault(kind, after=1))
        for _ in range(3):
            report = run(emulator, tmp_path, clock)
            assert "An order may have been billed" in str(report)
        assert len(emulator.charges) == (kind == "drop-after")


@pytest.mark.parametrize("kind", ["406-credits", "400", "403", "429", "405-html"])
def test_a_refused_order_leaves_no_record_and_may_be_tried_again(kind, tmp_path, clock):
    with Emulator(clock=clock) as emulator:
        emulator.script(Fault(kind, after=1))
        first = run(emulator, tmp_path, clock)
        assert emulator.charges == ()
        assert "nothing is billed" in str(first)
        assert not (tmp_path / "order.json").exists()
        run(emulator, tmp_path, clock)
        assert len(emulator.charges) == 1


def test_without_credit_nothing_is_sent(tmp_path, clock):
    with Emulator(clock=clock, credits=0.1) as emulator:
        report = run(emulator, tmp_path, clock)
        orders = [one for one in emulator.requests if "/678b67a76426baad7e539337" in one.path]
    assert orders == []
    assert "Add credits" in str(report)
    assert "0.1" not in "".join(report.notes)  # a report is shared


def test_ctrl_c_during_the_wait_gives_a_report_and_the_next_run_goes_on(tmp_path, clock):
    with Emulator(clock=clock, job_seconds=60) as emulator:
        assert "Interrupted" in str(run(emulator, tmp_path, interrupted()))
        assert seen(run(emulator, tmp_path, clock))["job-end"] == "COMPLETED"
        assert len(emulator.charges) == 1


def test_two_runs_at_once_are_refused(tmp_path, clock):
    with Emulator(clock=clock) as emulator, contextlib.closing(Folder(tmp_path)):
        with pytest.raises(InvalidRequestError, match="Another run"):
            run(emulator, tmp_path, clock)
        assert emulator.requests == ()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"record": {"state": "intent"}}', "\udcff"])
def test_a_record_that_cannot_be_read_orders_nothing(text, tmp_path, clock):
    (tmp_path / "order.json").write_text(text, errors="surrogateescape")
    with Emulator(clock=clock) as emulator:
        with pytest.raises(InvalidRequestError, match="nothing is ordered"):
            run(emulator, tmp_path, clock)
        assert emulator.charges == ()


@pytest.mark.parametrize(
    "damage",
    [{"ended_at": "x"}, {"balance": "x"}, {"output": 5}, {"record": {"at": "x"}}, {"record": {"request_id": {}}}],
)
def test_a_record_that_somebody_has_damaged_orders_nothing(damage, tmp_path, clock):
    with Emulator(clock=clock) as emulator:
        run(emulator, tmp_path, clock)
        kept = json.loads((tmp_path / "order.json").read_text())
        damaged = {**kept, **damage, "record": {**kept["record"], **damage.get("record", {})}}
        (tmp_path / "order.json").write_text(json.dumps(damaged))
        with pytest.raises(InvalidRequestError, match="nothing is ordered"):
            run(emulator, tmp_path, clock)
        assert len(emulator.charges) == 1


@pytest.mark.parametrize("status", [500, 502])
def test_an_order_of_unknown_outcome_whose_record_is_deleted_is_not_made_again(status, tmp_path, clock):
    with Emulator(clock=clock, history=False) as emulator:
        emulator.script(Fault("raw", on="submit", after=1, status=status, body={"error": "Internal Server Error"}))
        run(emulator, tmp_path, clock)
        (tmp_path / "order.json").unlink()
        run(emulator, tmp_path, clock)
        assert len([one for one in emulator.requests if "/workflows/678b" in one.path]) == 1


def test_a_service_that_answers_500_to_an_unknown_workflow_is_examined_to_the_end(tmp_path, clock):
    with Emulator(clock=clock) as emulator:
        emulator.script(Fault("raw", on="submit", status=500, body={"error": "Internal Server Error"}))
        assert seen(run(emulator, tmp_path, clock))["job-end"] == "COMPLETED"


def test_the_cassette_of_another_host_is_not_gone_on_with(tmp_path, clock):
    for _ in range(2):
        with Emulator(clock=clock) as emulator:
            if _ == 0:
                run(emulator, tmp_path, clock)
                continue
            with pytest.raises(InvalidRequestError, match="another folder"):
                run(emulator, tmp_path, clock)
            assert emulator.charges == ()


def test_an_order_whose_record_somebody_deletes_is_not_made_again(tmp_path, clock):
    with Emulator(clock=clock) as emulator:
        run(emulator, tmp_path, clock)
        (tmp_path / "order.json").unlink()
        assert "its order.json is gone" in str(run(emulator, tmp_path, clock))
        assert len(emulator.charges) == 1


@pytest.mark.parametrize("kind", ["drop-before", "502-html", "504-html"])
def test_an_order_of_an_unknown_workflow_that_may_be_billed_is_sent_once_and_no_other_follows(kind, tmp_path, clock):
    with Emulator(clock=clock) as emulator:
        emulator.script(Fault(kind, on="submit"))
        for _ in range(3):
            assert "may have been accepted" in str(run(emulator, tmp_path, clock))
        assert len([one for one in emulator.requests if one.path.startswith("/workflows/missing")]) == 1
        assert emulator.charges == ()


def test_an_order_whose_record_can_no_longer_be_written_is_watched_to_its_end(tmp_path, clock):
    out = tmp_path / "out"
    with Emulator(clock=clock, job_seconds=30, announce=lambda *_: shutil.rmtree(out, ignore_errors=True)) as emulator:
        report = run(emulator, out, clock)
        assert len(emulator.charges) == 1
    assert seen(report)["job-end"] == "COMPLETED"
    assert str(report).count("record could not be written") == 1


def test_a_disk_that_does_not_keep_the_record_has_nothing_ordered(tmp_path, clock):
    out = tmp_path / "out"
    with Emulator(clock=clock) as emulator:
        report = run(emulator, out, clock, agree=lambda _: not shutil.rmtree(out))
        assert emulator.charges == ()
    assert "give a folder on another disk" in " ".join(str(report).split())


def test_another_machine_that_began_an_order_a_moment_ago_is_left_to_it(tmp_path, clock):
    with Emulator(clock=clock) as emulator:
        report = run(emulator, tmp_path, clock, agree=lambda _: (tmp_path / "order.json").write_text("{}") > 0)
        assert emulator.charges == ()
    assert "Another run has just begun an order" in str(report)
    assert (tmp_path / "order.json").read_text() == "{}"


def test_a_page_that_cannot_be_written_is_still_given(tmp_path, clock):
    (tmp_path / "report.md").mkdir()
    with Emulator(clock=clock) as emulator:
        assert "COMPLETED" in str(run(emulator, tmp_path, clock))


@pytest.mark.parametrize("link", [os.link, os.symlink])
def test_a_file_is_never_written_through_a_link_that_lies_in_the_folder(link, tmp_path):
    (tmp_path / "other").write_text("precious")
    link(tmp_path / "other", tmp_path / ".order.json.new")
    link(tmp_path / "other", tmp_path / "cassette.json")
    with contextlib.closing(Folder(tmp_path)) as folder:
        folder.write("cassette.json", b"new")
        folder.keep_order({"a": 1}, first=True)
    assert (tmp_path / "other").read_text() == "precious"


def test_a_run_without_order_says_that_an_order_is_not_seen_to_its_end(tmp_path, clock):
    with Emulator(clock=clock, job_seconds=60) as emulator:
        run(emulator, tmp_path, interrupted())
        assert "Run this with --order: it goes on" in " ".join(str(run(emulator, tmp_path, clock, order=False)).split())


def test_a_job_whose_end_was_seen_is_not_missed_when_its_record_is_gone(tmp_path, clock):
    with Emulator(clock=clock, record_seconds=600) as emulator:
        emulator.script(Fault("raw", on="history", body={"data": []}, times=None))
        run(emulator, tmp_path, interrupted())
        clock.sleep(700)
        assert run(emulator, tmp_path, clock).notes == []


@pytest.mark.parametrize(
    "damage",
    [
        {"step": 3},
        {"status": "200"},
        {"at": "x"},
        {"headers": []},
        {"headers": {"x-ratelimit-remaining": 5}},
        {"facts": []},
        {"times": "x"},
        {"last": {"x-ratelimit-remaining": 5}},
        None,
    ],
)
def test_a_cassette_that_somebody_has_damaged_is_an_instruction(damage, cassette, tmp_path, clock):
    with Emulator(clock=clock) as emulator:
        cassette["host"] = emulator.url
        cassette["entries"][-1] = {**cassette["entries"][-1], **damage} if damage else {}
        (tmp_path / "cassette.json").write_text(json.dumps(cassette))
        with pytest.raises(InvalidRequestError, match="cannot be read, so nothing is ordered"):
            run(emulator, tmp_path, clock)
        assert emulator.charges == ()


class Killer:
    """Starts runs, and kills each at a random moment."""

    def __init__(self, emulator: Emulator, seed: int) -> None:
        self._emulator = emulator
        self._chance = random.Random(seed)  # noqa: S311
        command = [sys.executable, "-m", "tests.doctor.child", emulator.url, emulator.api_key]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
        )
        assert self._line() == "ready"
        self._usual = 1.0

    def _line(self) -> str:
        assert self._child.stdout
        return self._child.stdout.readline().strip()

    def close(self) -> None:
        self._child.kill()
        self._child.communicate()

    def run(self, out: Path, *, kill: bool) -> bool:
        """Run once; return whether it was killed before it had ended."""
        assert self._child.stdin
        orders = len(self._emulator.charges)
        self._child.stdin.write(f"{out}\n")
        self._child.stdin.flush()
        pid = int(self._line())
        if kill:
            self._wait(orders)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        took = float(self._line())
        if not kill:
            self._usual = took
        return not (out / "report.md").exists()

    def _wait(self, orders: int) -> None:
        """Wait for a random moment: of the whole run, or close to the order's acceptance."""
        until = time.monotonic() + self._chance.random() * self._usual * 1.1
        near = self._chance.random() < 0.5
        while time.monotonic() < until:
            if near and len(self._emulator.charges) > orders:
                time.sleep(self._chance.random() * 0.02)
                return
            time.sleep(0.001)


@pytest.fixture
def killing() -> Iterator[tuple[Emulator, Killer]]:
    # The answer to an order takes a moment, so that kills also come before it.
    with Emulator(credits=1e6, latency=0.002) as emulator:
        emulator.script(Fault("hang-after", after=1, times=None, seconds=0.01))
        killer = Killer(emulator, seed=22)
        try:
            yield emulator, killer
        finally:
            killer.close()


@pytest.mark.parametrize("runs", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_runs_that_are_killed_at_random_moments_never_pay_twice(runs, killing, tmp_path, record_property):
    emulator, killer = killing
    done = killed = folders = paid = 0
    while done < runs:
        out, before = tmp_path / str(folders), len(emulator.charges)
        for attempt in range(4):
            killed += killer.run(out, kill=attempt < 3)
            done += 1
        charges = len(emulator.charges) - before
        assert charges <= 1, f"{charges} charges in {out}"
        page = (out / "report.md").read_text()
        # Or nobody knows what became of the order, or of that of an unknown workflow.
        assert ("job-end: " in page) == (charges == 1) or re.search(r"may\s+have\s+been\s+(billed|accepted)", page)
        folders, paid = folders + 1, paid + charges
    record_property("kills", f"{done} runs in {folders} folders, {killed} killed, {paid} charges")
    assert killed > 0
    assert paid > 0
