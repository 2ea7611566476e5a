"""Whatever answers, or does not: a report with what could not be found out, never a traceback, never a second order."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.doctor.__main__ import main
from airflow_provider_segmind.doctor.bench import WRONG_KEY
from airflow_provider_segmind.emulator import Emulator, Fault
from tests.doctor.conftest import differs, run, seen, settings_of

ROOT = Path(__file__).parents[2]
ALL = ("submit", "poll", "credits", "upload", "history", "file")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[object]:
    """Run the command as where no Airflow is; return its status, and what it prints."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW") or name == "SEGMIND_API_KEY"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "nowhere"))
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115, PTH123

    def run_it(*arguments: str, connection: object = None) -> tuple[int, str, str]:
        if connection is not None:
            said = connection if isinstance(connection, str) else json.dumps(connection)
            monkeypatch.setenv("AIRFLOW_CONN_SEGMIND_DEFAULT", said)
        status = main([*arguments, "--out", str(tmp_path / "out")])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    yield run_it
    sys.stdin.close()


def test_the_page_is_printed_and_written_and_the_status_says_whether_all_is_as_expected(command, tmp_path):
    with Emulator() as emulator:
        status, page, _ = command(connection=emulator.airflow_connection())
        assert (status, emulator.charges) == (0, ())
        assert page.startswith((tmp_path / "out" / "report.md").read_text())
        emulator.set(auth="x-api-key")
        assert command()[0] == 1


def test_an_order_without_an_answer_to_the_question_is_none(command):
    with Emulator() as emulator:
        _, page, asked = command("--order", connection=emulator.airflow_connection())
        assert emulator.charges == ()
    assert "$0.2687" in asked
    assert "Nothing was ordered" in page


def test_yes_orders_once(command, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda: "yes")
    with Emulator() as emulator:
        for _ in range(2):
            command("--order", connection=emulator.airflow_connection())
        assert len(emulator.charges) == 1


def test_the_key_can_come_from_the_environment(command, monkeypatch):
    with Emulator() as emulator:
        monkeypatch.setenv("SEGMIND_API_KEY", emulator.api_key)
        status, page, _ = command(connection={**emulator.airflow_connection(), "password": ""})
    assert status == 0
    assert "bearer and x-api-key" in page


def test_without_a_key_what_needs_none_is_asked(command):
    with Emulator() as emulator:
        status, page, said = command("--order", connection={**emulator.airflow_connection(), "password": None})
        assert [one.path for one in emulator.requests] == ["/v1/get-user-credits"]
    assert status == 0
    assert "Set SEGMIND_API_KEY" in said
    assert "auth: there was no key" in page
    assert "wrong-key: A wrong key is answered 401" in page


@pytest.mark.parametrize("said", ["{", "[]", '{"extra": 3, "password": "x"}', '{"conn_type": "postgres"}'])
def test_a_connection_that_cannot_be_read_is_an_instruction(said, command):
    status, page, error = command(connection=said if said != "[]" else "{[]")
    assert (status, page) == (2, "")
    assert "AIRFLOW_CONN_SEGMIND_DEFAULT" in error


@pytest.mark.parametrize(
    "value", [{"host": 5}, {"password": 12345678}, {"extra": "[1]"}, {"schema": 7}, {"extra": {"verify": [1]}}]
)
def test_a_connection_with_values_of_another_kind_is_an_instruction(value, command):
    status, page, error = command(connection={"host": "127.0.0.1", "password": "SG_x", **value})
    assert (status, page) == (2, "")
    assert "The doctor itself failed" not in error


@pytest.mark.parametrize("argument", ["SG_not-to-be-shown", "--key=SG_not-to-be-shown", "--watch=nan", "--watch=-1"])
def test_an_argument_that_is_not_known_is_not_shown_since_it_may_be_the_key(argument, command, capsys):
    with pytest.raises(SystemExit):
        command("--order", argument)
    said = capsys.readouterr().err
    assert "SG_not" not in said
    assert "SEGMIND_API_KEY" in said or "MINUTES" in said


def test_a_terminal_that_knows_no_unicode_gets_the_page(command, monkeypatch):
    written = io.BytesIO()
    with Emulator() as emulator:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii"))
        status, _, said = command(connection=emulator.airflow_connection())
        sys.stdout.flush()
    assert status == 0, said
    assert b"# What Segmind does" in written.getvalue()


def test_a_value_that_cannot_be_used_is_an_instruction(command):
    status, page, error = command(connection={"password": "SG_x", "host": "http://example.com"})
    assert (status, page) == (2, "")
    assert "https://" in error


def test_a_folder_that_cannot_be_written_is_an_instruction(command, tmp_path):
    (tmp_path / "out").write_text("a file")
    status, _, error = command(connection={"password": "SG_0123456789abcdef"})
    assert status == 2
    assert "--out" in error


def test_without_a_network_the_report_says_what_could_not_be_reached(tmp_path, clock):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        report = run(Settings.from_connection(host=url, password="SG_0123456789abcdef"), tmp_path, clock)
    assert differs(report).keys() == {"reach"}
    assert "it refused the connection" in str(report)
    assert "Nothing was ordered" in str(report)


def test_a_host_that_dns_does_not_know_is_named_as_that(tmp_path, clock):
    hosts = {"storage_url": "https://storage.invalid", "history_url": "https://segmind.invalid"}
    settings = Settings.from_connection(host="https://segmind.invalid", password="SG_0123456789abcdef", extra=hosts)
    report = run(settings, tmp_path, clock)
    assert differs(report)["reach"] == "segmind.invalid: ConnectionError; storage.invalid: ConnectionError"
    assert "(its name is not known here: check the connection's host" in " ".join(str(report).split())


@pytest.mark.parametrize(
    ("kind", "status", "words"),
    [("html", 200, "a web page with HTTP 200"), ("html", 503, "HTTP 503"), ("raw", 503, "HTTP 503")],
)
def test_a_page_of_a_proxy_or_of_maintenance_is_named_and_nothing_else_is_concluded(
    kind, status, words, tmp_path, clock
):
    with Emulator(clock=clock) as emulator:
        emulator.script(*(Fault(kind, on=on, status=status, times=None) for on in ALL))
        report = run(emulator, tmp_path, clock)
        assert emulator.charges == ()
    assert differs(report).keys() == {"reach"}
    assert words in differs(report)["reach"]


@pytest.mark.parametrize(
    "kind", ["drop-before", "redirect", "not-json", "empty", "huge", "429", "truncated", "401", "403"]
)
@pytest.mark.parametrize("on", ["credits", "upload", "history", "poll", "submit", "file"])
def test_whatever_one_address_answers_there_is_a_report_and_at_most_one_order(kind, on, tmp_path, clock):
    with Emulator(clock=clock) as emulator:
        # A job is asked for again and again during an hour, so not for ever.
        times = 12 if on == "poll" else None
        emulator.script(Fault(kind, on=on, times=times, body=1 if kind == "huge" else None))
        for _ in range(2):
            assert str(run(emulator, tmp_path, clock))
        assert len(emulator.charges) <= 1


def test_a_service_that_falls_over_while_the_job_runs_is_waited_for(tmp_path, clock):
    with Emulator(clock=clock, job_seconds=60) as emulator:
        emulator.script(Fault("502-html", on="poll", times=5, after=3), Fault("429", on="poll", times=2, seconds=20))
        assert seen(run(emulator, tmp_path, clock))["job-end"] == "COMPLETED"
        assert len(emulator.charges) == 1


@pytest.mark.slow
def test_a_host_that_accepts_and_says_nothing_is_asked_once(tmp_path, clock):
    with socket.create_server(("127.0.0.1", 0)) as server:
        asked: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    asked.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        settings = Settings.from_connection(
            host=f"http://127.0.0.1:{server.getsockname()[1]}", password="SG_0123456789abcdef"
        )
        report = run(settings, tmp_path, clock, order=False)
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
    assert len(asked) == 1
    assert differs(report).keys() == {"reach"}
    for one in asked:
        one.close()


@pytest.mark.slow
def test_it_runs_without_an_airflow_and_makes_none(tmp_path):
    with Emulator() as emulator:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
            "AIRFLOW_CONN_SEGMIND_DEFAULT": json.dumps(emulator.airflow_connection()),
        }
        command = [sys.executable, "-m", "airflow_provider_segmind.doctor", "--order", "--out", "report"]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, input="yes\n", capture_output=True, text=True, check=False
        )
        assert len(emulator.charges) == 1
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "There is no Airflow" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"report"}


def test_the_key_of_a_run_without_a_key_goes_nowhere_else(tmp_path, clock):
    with Emulator(clock=clock) as emulator:
        settings = settings_of(emulator)
        nobody = Settings.from_connection(host=settings.base_url, password=WRONG_KEY)
        report = run(nobody, tmp_path, clock)
        assert emulator.charges == ()
    assert "Nothing was ordered" in str(report)
