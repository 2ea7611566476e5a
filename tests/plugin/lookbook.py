"""A real API server with a run of the lookbook, whose pictures are drawn here, waiting for a person's approval."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from PIL import Image

from airflow_provider_segmind.compat import AIRFLOW_V_3_3_PLUS
from airflow_provider_segmind.emulator import paint, samples
from demo.airflow_rest import AirflowRest, AirflowRestError
from demo.airflow_settings import LOOPBACK, airflow_environment, free_port
from demo.child import Child
from tests.airflow_fork import Component
from tests.metadata import copy_database

DAG_ID = "lookbook"
DAGS = Path(__file__).parent / "dags"
FACES = 5
ITEMS = 30
REVIEWED = 200
PREFIX = "/some/path"
_COMPONENTS = (("scheduler", "--skip-serve-logs"), ("dag-processor",), ("triggerer", "--skip-serve-logs"))
ASKED = (("approve", -1), ("approve_each", 0), ("approve_each", 1))
"""The approvals that wait for a person: task and map index."""
REVIEW = ("review", -1)
"""The review that waits, too."""


def draw(folder: Path) -> None:
    """Draw swaps, their thumbnails, and a batch of them with its manifest and sidecars."""
    folder.mkdir()
    for number in range(FACES):
        before, reference = samples.draw("scene", number), samples.draw("person", number + 3)
        for slot, data in (("before", before), ("reference", reference), ("after", paint.swap(before, reference))):
            (folder / f"{number}-{slot}.png").write_bytes(data)
            with Image.open(io.BytesIO(data)) as picture:
                picture.thumbnail((640, 640))
                picture.save(folder / f"{number}-{slot}.webp", quality=80)
    rows = []
    for index in range(ITEMS):
        base = folder / f"{index % FACES}"
        inputs = {"character_image": f"{base}-before.png", "reference_character_image": f"{base}-reference.png"}
        sidecar = folder / f"item-{index}.json"
        sidecar.write_text(json.dumps({"id": f"Autumn {index + 1}", "cost": 0.2687, "seconds": 38.0, "inputs": inputs}))
        files = [{"uri": f"{base}-after.png", "thumbnail": f"{base}-after.webp", "sidecar": str(sidecar)}]
        rows.append({"request_id": f"item-{index}", "uri": f"{base}-after.png", "files": files})
    rows[1] = {"request_id": "item-1", "uri": None, "files": [], "error": "The result is not at Segmind any more."}
    (folder / "batch.stored.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    _write_reviewed(folder)


def _write_reviewed(folder: Path) -> None:
    """Write a batch of many results, as it is when it is stored and checked."""
    results, stored, reports = [], [], []
    failed = {"name": "person_count", "verdict": "fail", "why": "persons found: 2 on the result"}
    for n in range(REVIEWED):
        base, request_id = folder / f"{n % FACES}", f"look-{n}"
        inputs = {"character_image": f"{base}-before.png", "reference_character_image": f"{base}-reference.png"}
        known = {"index": n, "id": f"Look {n + 1}", "request_id": request_id, "status": "COMPLETED", **inputs}
        results.append({**known, "outputs": []})
        files = [{"uri": f"{base}-after.png", "thumbnail": f"{base}-after.webp"}]
        stored.append({"request_id": request_id, "uri": files[0]["uri"], "files": files})
        bad = n % 10 == 3
        reports.append({"report": {"verdict": "fail" if bad else "pass", "checks": [failed] if bad else []}})
    for suffix, rows in (("", results), (".stored.jsonl", stored), (".checks.jsonl", reports)):
        (folder / f"looks.jsonl{suffix}").write_text("".join(json.dumps(row) + "\n" for row in rows))


class Lookbook:
    """
    Two API servers on one database, one of them below a path, and ``dags test`` until its approval is answered.

    :param home: directory for everything.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.pictures = home / "pictures"
        port, below = free_port(), free_port()
        self.url, self.url_below = f"http://{LOOPBACK}:{port}", f"http://{LOOPBACK}:{below}{PREFIX}"
        dags = home / "dags"
        dags.mkdir()
        shutil.copy(DAGS / f"{DAG_ID}.py", dags)
        self.memory = home / "memory"
        extra = {
            "LOOKBOOK_PICTURES": str(self.pictures),
            "AIRFLOW__SEGMIND__GALLERY_ROOTS": str(self.pictures),
            "AIRFLOW__SEGMIND__MEMORY": str(self.memory),
        }
        self.env = airflow_environment(home, dags, port, extra)
        env_below = {**self.env, "AIRFLOW__API__PORT": str(below), "AIRFLOW__API__BASE_URL": self.url_below}
        self.server = self._child("api-server")
        # A path is read while Airflow is imported.
        command = (sys.executable, "-m", "airflow", "api-server")
        self.below = Child("api-server-below", command, env_below, self.home / "api-server-below.log")
        # `dags test` of older versions runs one trigger at a time, and answers no question of a person.
        commands = (("dags", "test", DAG_ID),) if AIRFLOW_V_3_3_PLUS else _COMPONENTS
        self.runners = [self._child(*words) for words in commands]
        self.rest, self.rest_below = AirflowRest(self.url), AirflowRest(self.url_below)
        self.run_id = ""

    def _child(self, *words: str) -> Child:
        name = "-".join(words)
        return Component(name, words, self.env, self.home / f"{name}.log")

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def _start(self) -> None:
        copy_database(self.home / "airflow.db")
        self.server.start()
        self.below.start()
        draw(self.pictures)
        for runner in self.runners:
            runner.start()
        if not AIRFLOW_V_3_3_PLUS:
            self.rest.wait_until("The API server", lambda: self.rest.page("execution/health").ok, 120)
            self.rest.wait_for_dag(DAG_ID, 180)
            self.rest.unpause(DAG_ID)
            self.rest.trigger(DAG_ID)
        self.rest.wait_until("The approval", self._asks, 300)
        self.rest.wait_until("The API server below a path", lambda: self.rest_below.page("api/v2/version").ok, 120)

    def _asks(self) -> bool:
        for child in (self.server, self.below, *self.runners):
            child.check()
        self.run_id = self._only_run(DAG_ID)
        if not self.run_id:
            return False
        states = [self.rest.task_state(DAG_ID, self.run_id, *asked) for asked in (*ASKED, REVIEW)]
        # Airflow 3.3 has a state of its own for it.
        return all(state in ("awaiting_input", "deferred") for state in states)

    def _only_run(self, dag_id: str) -> str:
        try:
            runs = self.rest.call("GET", f"dags/{dag_id}/dagRuns")["dag_runs"]
        except (OSError, AirflowRestError):
            return ""
        return runs[0]["dag_run_id"] if runs else ""

    def _stop(self) -> None:
        for child in (*self.runners, self.below, self.server):
            child.stop(4.0)
        self.rest.session.close()
        self.rest_below.session.close()
