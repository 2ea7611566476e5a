"""Airflow's REST API, as far as the demo and the tests need it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import requests

Json = dict[str, Any]
RUN_ENDED = frozenset({"success", "failed"})
UNMAPPED = -1
# Every entry of a log says again which task it is about and which line of Airflow wrote it.
_EVERYWHERE = frozenset(
    {"dag_id", "run_id", "task_id", "map_index", "try_number", "ti_id", "logger", "filename", "lineno", "loc"}
)


class AirflowRestError(RuntimeError):
    """Airflow's REST API answered with an error; the message holds its own words."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class AirflowRest:
    """A client of the API server at a URL; ``login`` (``username`` and ``password``) if not everybody is admitted."""

    pause = 0.3
    """Seconds between two looks, each of which costs the API server some twenty milliseconds."""

    def __init__(self, url: str, login: Json | None = None) -> None:
        self.url = url
        self._login = login
        self.session = requests.Session()
        # Proxies and .netrc of the person who runs this have no say about loopback.
        self.session.trust_env = False

    def check(self) -> None:
        """Raise if waiting any longer is useless; a subclass knows when that is."""

    def call(self, method: str, path: str, **options: Any) -> Json:
        """Make one request to what follows ``/api/v2/`` and return its JSON, empty when there is none."""
        answer = self._request(method, f"api/v2/{path}", **options)
        return dict(answer.json()) if answer.content else {}

    def page(self, path: str, **options: Any) -> requests.Response:
        """Get something that is not of the API, such as a plugin's."""
        return self._request("GET", path, **options)

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        for _ in range(4):
            if "Authorization" not in self.session.headers:
                self._sign_in()
            answer = self.session.request(method, f"{self.url}/{path}", **{"timeout": 30.0, **options})
            if answer.status_code == requests.codes.unauthorized:
                del self.session.headers["Authorization"]
            # SQLite has one writer at a time, and on a busy machine a request may wait longer than SQLite lets it.
            elif answer.status_code != requests.codes.server_error or '"Database error"' not in answer.text:
                break
        return _good(answer)

    def _sign_in(self) -> None:
        url = f"{self.url}/auth/token"
        answer = (
            self.session.post(url, json=self._login, timeout=30) if self._login else self.session.get(url, timeout=30)
        )
        self.session.headers["Authorization"] = f"Bearer {_good(answer).json()['access_token']}"

    def wait_until(
        self, what: str, condition: Callable[[], object], timeout: float, every: float | None = None
    ) -> None:
        """Ask until something has happened, for so many seconds (``TimeoutError``) and as long as it can happen."""
        deadline = time.monotonic() + timeout
        trouble = ""
        while time.monotonic() < deadline:
            self.check()
            try:
                if condition():
                    return
                trouble = ""
            except (requests.ConnectionError, requests.Timeout) as error:  # away for a moment: not yet
                trouble = f" The last question failed: {type(error).__name__}."
            time.sleep(every or self.pause)
        raise TimeoutError(f"{what}: not within {timeout:.0f} s.{trouble}")

    def wait_for_dag(self, dag_id: str, timeout: float = 60.0) -> None:
        """Wait until the DAG processor has read a DAG; an import error of any file is raised."""

        def known() -> bool:
            if any(dag["dag_id"] == dag_id for dag in self.call("GET", "dags", params={"limit": 100})["dags"]):
                return True
            for error in self.call("GET", "importErrors")["import_errors"]:
                raise AirflowRestError(f"{error['filename']}:\n{error['stack_trace']}", 0)
            return False

        self.wait_until(f"DAG {dag_id!r}", known, timeout)

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run a DAG."""
        self.call("PATCH", _path("dags", dag_id), json={"is_paused": False})

    def trigger(self, dag_id: str, conf: Json | None = None, run_id: str | None = None) -> str:
        """Start a run of a DAG with values for its params, and return its id."""
        body = {"logical_date": None, "conf": conf or {}, **({"dag_run_id": run_id} if run_id else {})}
        return str(self.call("POST", _path("dags", dag_id, "dagRuns"), json=body)["dag_run_id"])

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run: ``queued``, ``running``, ``success`` or ``failed``."""
        return str(self.call("GET", _path("dags", dag_id, "dagRuns", run_id))["state"])

    def wait_for_run(
        self, dag_id: str, run_id: str, timeout: float, on_progress: Callable[[list[Json]], None] | None = None
    ) -> str:
        """Wait so many seconds until a run has ended, show its task instances meanwhile, and return its state."""

        def ended() -> bool:
            state = self.run_state(dag_id, run_id)
            if on_progress:
                on_progress(self.task_instances(dag_id, run_id))
            return state in RUN_ENDED

        self.wait_until(f"The end of run {run_id!r} of {dag_id!r}", ended, timeout)
        return self.run_state(dag_id, run_id)

    def task_instances(self, dag_id: str, run_id: str) -> list[Json]:
        """Return all task instances of a run, as Airflow describes them (``task_id``, ``state``, …)."""
        found: list[Json] = []
        while True:
            params = {"limit": 100, "offset": len(found)}
            page = self.call("GET", _path("dags", dag_id, "dagRuns", run_id, "taskInstances"), params=params)
            found.extend(page["task_instances"])
            if not page["task_instances"] or len(found) >= page["total_entries"]:
                return found

    def task_state(self, dag_id: str, run_id: str, task_id: str, map_index: int = UNMAPPED) -> str | None:
        """Return the state of one task instance, ``None`` before the scheduler looked at it."""
        states = {(ti["task_id"], ti["map_index"]): ti["state"] for ti in self.task_instances(dag_id, run_id)}
        return states.get((task_id, map_index))

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value", map_index: int = UNMAPPED) -> Any:
        """Return an XCom of a task instance; raise :class:`AirflowRestError` with ``status`` 404 if there is none."""
        path = _task(dag_id, run_id, task_id, "xcomEntries", key)
        return self.call("GET", path, params={"map_index": map_index})["value"]

    def clear_task(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Clear a task of a run and what depends on it, as a person does who wants it done again."""
        body = {"dry_run": False, "dag_run_id": run_id, "task_ids": [task_id], "only_failed": False}
        body |= {"include_downstream": True, "reset_dag_runs": True}
        self.call("POST", _path("dags", dag_id, "clearTaskInstances"), json=body)

    def update_asset(self, name: str) -> None:
        """Say that an asset was updated, as another system does; DAGs that are scheduled on it then run."""
        found = self.call("GET", "assets", params={"name_pattern": name})["assets"]
        (asset_id,) = [asset["id"] for asset in found if asset["name"] == name]
        self.call("POST", "assets/events", json={"asset_id": asset_id, "extra": {}})

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str, map_index: int = UNMAPPED) -> None:
        """Answer a task that asks a person, as that person does in the UI."""
        body = {"chosen_options": [option], "params_input": {}}
        self.call("PATCH", _task(dag_id, run_id, task_id, str(map_index), "hitlDetails"), json=body)

    def links(self, dag_id: str, run_id: str, task_id: str, map_index: int = UNMAPPED) -> dict[str, str | None]:
        """Return the links of a task instance, by the names of their buttons."""
        path = _task(dag_id, run_id, task_id, "links")
        return dict(self.call("GET", path, params={"map_index": map_index})["extra_links"])

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = UNMAPPED) -> str:
        """Return the log of one attempt, the triggerer's part included: a line for each event and each exception."""
        path = _task(dag_id, run_id, task_id, "logs", str(try_number))
        params = {"map_index": map_index, "full_content": True}
        content = self.call("GET", path, params=params, headers={"Accept": "application/json"})["content"]
        return "\n".join(_log_line(entry) for entry in content)


def _path(*parts: str) -> str:
    return "/".join(quote(part, safe="") for part in parts)


def _task(dag_id: str, run_id: str, task_id: str, *parts: str) -> str:
    return _path("dags", dag_id, "dagRuns", run_id, "taskInstances", task_id, *parts)


def _good(answer: requests.Response) -> requests.Response:
    if not answer.ok:
        message = f"{answer.request.method} {answer.url}: HTTP {answer.status_code}: {answer.text[:500]}"
        raise AirflowRestError(message, answer.status_code)
    return answer


def _log_line(entry: Json | str) -> str:
    if isinstance(entry, str):
        return entry
    shown = _EVERYWHERE | {"event", "timestamp", "level", "error_detail"}
    extras = {name: value for name, value in entry.items() if name not in shown}
    line = f"{(entry.get('timestamp') or '')[:19]:19} {entry.get('level') or '':8} {entry['event']}"
    errors = "".join(f"\n  {error['exc_type']}: {error['exc_value']}" for error in entry.get("error_detail") or [])
    return line + (f" {extras}" if extras else "") + errors
