"""Airflow's REST API, as far as the demo and the tests need it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

import requests

Json = dict[str, Any]
RUN_ENDED = frozenset({"success", "failed"})
UNMAPPED = -1


class AirflowRestError(RuntimeError):
    """Airflow's REST API answered with an error; the message holds its own words."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class AirflowTimeoutError(RuntimeError):
    """Something did not happen in the time that was given for it."""


def _path(*parts: str) -> str:
    return "/".join(quote(part, safe="") for part in parts)


def _run(dag_id: str, run_id: str) -> str:
    return f"dags/{_path(dag_id)}/dagRuns/{_path(run_id)}"


def _question(dag_id: str, run_id: str, task_id: str, map_index: int) -> str:
    return f"{_run(dag_id, run_id)}/taskInstances/{_path(task_id)}/{map_index}/hitlDetails"


class AirflowRest:
    """
    A client of a local Airflow in which everybody is an administrator.

    :param url: address of the API server.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        # Proxies and .netrc of the person who runs this have no say about loopback.
        self._session.trust_env = False

    def check(self) -> None:
        """Raise if waiting any longer is useless; a subclass knows when that is."""

    def call(self, method: str, path: str, *, timeout: float = 30.0, **options: Any) -> Json:
        """
        Make one request to ``/api/v2``.

        :param method: the HTTP method.
        :param path: what follows ``/api/v2/``.
        :param timeout: seconds for the answer.
        :param options: passed to :meth:`requests.Session.request` (``json``, ``params``, ``headers``).
        :returns: the JSON of the answer, empty when there was none.
        :raises AirflowRestError: the answer is an error.
        :raises requests.ConnectionError: the API server cannot be reached.
        """
        answer = self._request(method, f"api/v2/{path}", timeout, **options)
        content: Json = answer.json() if answer.content else {}
        return content

    def page(self, path: str, *, timeout: float = 30.0, **options: Any) -> requests.Response:
        """
        Get something that is not of the API, such as a plugin's.

        :param path: what follows the address of the API server.
        :param timeout: seconds for the answer.
        :param options: passed to :meth:`requests.Session.request`.
        :raises AirflowRestError: the answer is an error.
        :raises requests.ConnectionError: the API server cannot be reached.
        """
        return self._request("GET", path, timeout, **options)

    def _request(self, method: str, path: str, timeout: float, **options: Any) -> requests.Response:
        if "Authorization" not in self._session.headers:
            self._login(timeout)
        url = f"{self.url}/{path}"
        answer = self._session.request(method, url, timeout=timeout, **options)
        if answer.status_code == requests.codes.unauthorized:
            self._login(timeout)
            answer = self._session.request(method, url, timeout=timeout, **options)
        for _ in range(3):
            if answer.status_code != requests.codes.server_error or '"Database error"' not in answer.text:
                break
            # SQLite has one writer at a time, and on a busy machine a request may wait longer than SQLite lets it.
            answer = self._session.request(method, url, timeout=timeout, **options)
        if not answer.ok:
            message = f"{method} {path}: HTTP {answer.status_code}: {answer.text[:500]}"
            raise AirflowRestError(message, answer.status_code)
        return answer

    def _login(self, timeout: float) -> None:
        answer = self._session.get(f"{self.url}/auth/token", timeout=timeout)
        if not answer.ok:
            raise AirflowRestError(f"GET /auth/token: HTTP {answer.status_code}", answer.status_code)
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def wait_until(self, what: str, condition: Callable[[], bool], timeout: float, every: float = 0.3) -> None:
        """
        Wait for something, and give up early when it cannot happen any more.

        :param what: what is waited for, for the message.
        :param condition: asked again and again. An API server that is away for a moment counts as "not yet".
        :param timeout: seconds.
        :param every: seconds between two questions.
        :raises AirflowTimeoutError: it did not happen in time.
        """
        deadline = time.monotonic() + timeout
        trouble = ""
        while time.monotonic() < deadline:
            self.check()
            try:
                if condition():
                    return
                trouble = ""
            except (requests.ConnectionError, requests.Timeout) as error:
                trouble = f" The last question failed: {type(error).__name__}."
            time.sleep(every)
        raise AirflowTimeoutError(f"{what}: not within {timeout:.0f} s.{trouble}")

    def dag_ids(self) -> set[str]:
        """Return the ids of all DAGs that Airflow knows."""
        return {dag["dag_id"] for dag in self.call("GET", "dags", params={"limit": 100})["dags"]}

    def import_errors(self) -> list[Json]:
        """Return the DAG files that cannot be imported: ``filename``, ``stack_trace`` and more for each."""
        errors: list[Json] = self.call("GET", "importErrors")["import_errors"]
        return errors

    def wait_for_dag(self, dag_id: str, timeout: float = 60.0) -> None:
        """
        Wait until the DAG processor has read a DAG.

        :param dag_id: the DAG.
        :param timeout: seconds.
        :raises AirflowRestError: a DAG file cannot be imported; the message holds the traceback.
        :raises AirflowTimeoutError: the DAG did not appear.
        """

        def known() -> bool:
            if dag_id in self.dag_ids():
                return True
            for error in self.import_errors():
                raise AirflowRestError(f"{error['filename']}:\n{error['stack_trace']}", 0)
            return False

        self.wait_until(f"DAG {dag_id!r}", known, timeout)

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run a DAG."""
        self.call("PATCH", f"dags/{_path(dag_id)}", json={"is_paused": False})

    def trigger(self, dag_id: str, conf: Json | None = None, run_id: str | None = None) -> str:
        """
        Start a run of a DAG.

        :param dag_id: the DAG; it must be unpaused to make progress.
        :param conf: values for the DAG's params.
        :param run_id: id of the new run; one is made if it is not given.
        :returns: the run's id.
        """
        body: Json = {"logical_date": None, "conf": conf or {}}
        if run_id:
            body["dag_run_id"] = run_id
        created: str = self.call("POST", f"dags/{_path(dag_id)}/dagRuns", json=body)["dag_run_id"]
        return created

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return the state of a run: ``queued``, ``running``, ``success`` or ``failed``."""
        state: str = self.call("GET", _run(dag_id, run_id))["state"]
        return state

    def wait_for_run(
        self,
        dag_id: str,
        run_id: str,
        timeout: float,
        on_progress: Callable[[list[Json]], None] | None = None,
    ) -> str:
        """
        Wait until a run has ended.

        :param dag_id: the DAG.
        :param run_id: the run.
        :param timeout: seconds.
        :param on_progress: called about three times a second with the run's task instances.
        :returns: ``success`` or ``failed``.
        :raises AirflowTimeoutError: it is still going on.
        """
        state = ""

        def ended() -> bool:
            nonlocal state
            state = self.run_state(dag_id, run_id)
            if on_progress:
                on_progress(self.task_instances(dag_id, run_id))
            return state in RUN_ENDED

        self.wait_until(f"The end of run {run_id!r} of {dag_id!r}", ended, timeout)
        return state

    def task_instances(self, dag_id: str, run_id: str) -> list[Json]:
        """Return all task instances of a run, as Airflow describes them (``task_id``, ``state``, …)."""
        params = {"limit": 100}
        found: list[Json] = []
        while True:
            path = f"{_run(dag_id, run_id)}/taskInstances"
            page = self.call("GET", path, params={**params, "offset": len(found)})
            found.extend(page["task_instances"])
            if not page["task_instances"] or len(found) >= page["total_entries"]:
                return found

    def task_state(self, dag_id: str, run_id: str, task_id: str, map_index: int = UNMAPPED) -> str | None:
        """Return the state of one task instance, ``None`` before the scheduler looked at it."""
        for ti in self.task_instances(dag_id, run_id):
            if ti["task_id"] == task_id and ti["map_index"] == map_index:
                state: str | None = ti["state"]
                return state
        return None

    def xcom(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        key: str = "return_value",
        map_index: int = UNMAPPED,
    ) -> Any:
        """
        Return an XCom of a task instance.

        :raises AirflowRestError: it has none of that key (``status`` 404).
        """
        path = f"{_run(dag_id, run_id)}/taskInstances/{_path(task_id)}/xcomEntries/{_path(key)}"
        return self.call("GET", path, params={"map_index": map_index})["value"]

    def clear_task(self, dag_id: str, run_id: str, task_ids: str | Sequence[str], *, downstream: bool = True) -> None:
        """
        Clear tasks of a run, as a person does who wants them done again.

        :param task_ids: one task or several.
        :param downstream: clear what depends on them, too.
        """
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [task_ids] if isinstance(task_ids, str) else list(task_ids),
            "only_failed": False,
            "include_downstream": downstream,
            "reset_dag_runs": True,
        }
        self.call("POST", f"dags/{_path(dag_id)}/clearTaskInstances", json=body)

    def set_task_state(self, dag_id: str, run_id: str, task_id: str, state: str, map_index: int = UNMAPPED) -> None:
        """
        Mark a task instance, as a person does in the UI.

        :param state: ``success``, ``failed`` or ``skipped``.
        """
        index = "" if map_index == UNMAPPED else f"/{map_index}"
        path = f"{_run(dag_id, run_id)}/taskInstances/{_path(task_id)}{index}"
        self.call("PATCH", path, json={"new_state": state})

    def update_asset(self, name: str) -> None:
        """Say that an asset was updated, as another system does; DAGs that are scheduled on it then run."""
        found = self.call("GET", "assets", params={"name_pattern": name})["assets"]
        (asset_id,) = [asset["id"] for asset in found if asset["name"] == name]
        self.call("POST", "assets/events", json={"asset_id": asset_id, "extra": {}})

    def answer(self, dag_id: str, run_id: str, task_id: str, option: str, map_index: int = UNMAPPED) -> None:
        """Answer a task that asks a person, as that person does in the UI."""
        self.call(
            "PATCH",
            _question(dag_id, run_id, task_id, map_index),
            json={"chosen_options": [option], "params_input": {}},
        )

    def question(self, dag_id: str, run_id: str, task_id: str, map_index: int = UNMAPPED) -> Json:
        """Return what a task asks a person: ``subject``, ``body`` and more."""
        return self.call("GET", _question(dag_id, run_id, task_id, map_index))

    def links(self, dag_id: str, run_id: str, task_id: str, map_index: int = UNMAPPED) -> dict[str, str | None]:
        """Return the links of a task instance, by the names of their buttons."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{_path(task_id)}/links"
        found: dict[str, str | None] = self.call("GET", path, params={"map_index": map_index})["extra_links"]
        return found

    def task_log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = UNMAPPED) -> str:
        """Return the log of one attempt, the triggerer's part included: a line for each event and each exception."""
        path = f"{_run(dag_id, run_id)}/taskInstances/{_path(task_id)}/logs/{try_number}"
        params = {"map_index": map_index, "full_content": True}
        content = self.call("GET", path, params=params, headers={"Accept": "application/json"})["content"]
        return "\n".join(_log_line(entry) for entry in content)


# Every entry says again which task it is about and which line of Airflow wrote it.
_EVERYWHERE = frozenset(
    {"dag_id", "run_id", "task_id", "map_index", "try_number", "ti_id", "logger", "filename", "lineno", "loc"}
)


def _log_line(entry: Json | str) -> str:
    if isinstance(entry, str):
        return entry
    shown = _EVERYWHERE | {"event", "timestamp", "level", "error_detail"}
    extras = {name: value for name, value in entry.items() if name not in shown}
    line = f"{(entry.get('timestamp') or '')[:19]:19} {entry.get('level') or '':8} {entry['event']}"
    if extras:
        line += f" {extras}"
    for error in entry.get("error_detail") or []:
        line += f"\n  {error['exc_type']}: {error['exc_value']}"
    return line
