"""Hook for Segmind: authenticated requests with timeouts and without redirects."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import requests
from airflow.providers.http.hooks.http import HttpHook
from airflow.sdk import get_current_context

from airflow_provider_segmind import connection
from airflow_provider_segmind.api import flow, history, protocol, refusals
from airflow_provider_segmind.api.client import Client
from airflow_provider_segmind.api.models import DEFAULT_HOST, Job, Settings
from airflow_provider_segmind.api.orders import OrderRecord
from airflow_provider_segmind.api.parameters import CONN_ID, check_interval, check_outage
from airflow_provider_segmind.api.patience import Watch
from airflow_provider_segmind.api.results import check_not_failed
from airflow_provider_segmind.api.transport import Session, exchange, prepare_session
from airflow_provider_segmind.api.wire import Request, Response
from airflow_provider_segmind.connection import load_settings
from airflow_provider_segmind.observability.metrics import Counters

T = TypeVar("T")


class SegmindHook(HttpHook):
    """
    Sends requests to Segmind for an Airflow connection of type ``segmind``.

    The connection's password is the API key. The hook sends it only to the connection's own host and its trusted hosts.

    :param segmind_conn_id: id of the Airflow connection.
    """

    conn_name_attr = "segmind_conn_id"
    default_conn_name = CONN_ID
    conn_type = "segmind"
    hook_name = "Segmind"
    default_host = DEFAULT_HOST

    def __init__(self, segmind_conn_id: str = CONN_ID) -> None:
        super().__init__(method="GET", http_conn_id=segmind_conn_id, tcp_keep_alive=False)
        self.segmind_conn_id = segmind_conn_id

    @cached_property
    def settings(self) -> Settings:
        """The connection's checked settings; looked up once per hook."""
        return load_settings(self.segmind_conn_id)

    @cached_property
    def client(self) -> Client:
        """The client that sends this hook's requests."""
        return Client(self.settings, prepare_session(self._new_session()))

    @cached_property
    def counters(self) -> Counters:
        """Counts of this hook's requests and jobs, for Airflow's metrics."""
        return Counters(self.segmind_conn_id, self.client.traffic)

    def submit(
        self,
        workflow: str,
        inputs: Mapping[str, Any],
        *,
        before: Callable[[], None] = lambda: None,
        refused: Callable[[], None] = lambda: None,
    ) -> Job:
        """
        Order a job with one POST. An accepted order is billed and cannot be cancelled.

        :param workflow: id and version, like ``678b67a76426baad7e539337-v4``.
        :param inputs: the workflow's inputs by name. A body swap needs both images, as ``https://`` URLs.
        :param before: called right before the order is sent; if it raises, nothing is sent.
        :param refused: called when the order was certainly not accepted, before it is sent once more.
        :return: the job, not done yet. Keep its ``poll_url``.
        :raises SegmindError: see its subclasses. Only :class:`~airflow_provider_segmind.api.errors.OutcomeUnknownError`
            may have been billed.
        """
        # Nothing may come between an accepted order and its record, so metrics are sent with the next request.
        steps = flow.submit(self.settings, self.client.auth, workflow, inputs, before=before, refused=refused)
        return self.client.run(steps)

    def get_job(self, poll_url: str) -> Job:
        """
        Ask for a job's state with one GET, and raise any error at once.

        :param poll_url: URL of the job as the submit returned it.
        :return: the job, even if it is ``FAILED``.
        :raises JobExpiredError: Segmind does not know the job. Right after the order it may just not be visible yet.
        :raises SegmindError: the job's state is not available.
        """
        return self._run(flow.get_job(self.settings, self.client.auth, poll_url), polls=True)

    def wait(
        self,
        poll_url: str,
        *,
        poll_interval: timedelta | float = 7.0,
        timeout: timedelta | float = 3600.0,
        max_outage: timedelta | float | None = None,
    ) -> Job:
        """
        Block until a job is done, and ask once more before giving up.

        An outage of the service does not end the wait, because the job is paid for. The log says when an outage begins
        and ends.

        :param poll_url: URL of the job as the submit returned it.
        :param poll_interval: seconds between polls. Segmind documents 7.
        :param timeout: seconds to wait at most.
        :param max_outage: seconds that an outage may last before its last error is raised; ``None`` for ``timeout``.
        :return: the job, ``COMPLETED``.
        :raises JobFailedError: the job FAILED; the message has the reason.
        :raises JobExpiredError: Segmind has not known the job for a minute and a half.
        :raises JobTimeoutError: the job is not done in time. It may still finish, and is billed.
        :raises SegmindError: the job's state is no longer available.
        """
        return check_not_failed(
            self.wait_for_end(poll_url, poll_interval=poll_interval, timeout=timeout, max_outage=max_outage)
        )

    def wait_for_end(
        self,
        poll_url: str,
        *,
        poll_interval: timedelta | float,
        timeout: timedelta | float,
        max_outage: timedelta | float | None,
    ) -> Job:
        """
        Block like :meth:`wait`, but also return a job that FAILED.

        :param poll_url: URL of the job as the submit returned it.
        :param poll_interval: seconds between polls.
        :param timeout: seconds to wait at most.
        :param max_outage: seconds that an outage may last; ``None`` for ``timeout``.
        :return: the job, ``COMPLETED`` or ``FAILED``.
        :raises SegmindError: as :meth:`wait`, except for a job that FAILED.
        """
        clock = self.client.clock
        steps = flow.wait(
            self.settings,
            self.client.auth,
            poll_url,
            deadline=clock() + check_interval("timeout", timeout),
            clock=clock,
            poll_interval=check_interval("poll_interval", poll_interval),
            max_outage=check_outage(max_outage),
        )
        return self._run(steps, polls=True)

    def poke(self, watch: Watch) -> Job | flow.Pause:
        """
        Ask once for a job during a wait: with one GET, or more until a 404 is confirmed or not.

        :param watch: the wait; the method records in it what it sees.
        :return: the job if it is done, even if it is ``FAILED``; else the pause before the next poke.
        :raises SegmindError: the wait is over and the job is not done.
        """
        return self._run(flow.poke(self.settings, self.client.auth, watch, self.client.clock), polls=True)

    def attach(self, poll_url: str) -> Job:
        """
        Ask for a job until there is an answer, for five minutes at most during an outage or 404s.

        :param poll_url: poll URL of a job that an earlier attempt may have ordered.
        :return: the job, in any state.
        :raises SegmindError: there is no such job, or no answer.
        """
        steps = flow.attach(self.settings, self.client.auth, poll_url, clock=self.client.clock)
        return self._run(steps, polls=True)

    def get_credits(self) -> float:
        """Return the balance in US dollars, paid and free credits together. The request is free of charge."""
        return self.client.run(flow.get_credits(self.settings, self.client.auth))

    def find_orders(self, record: OrderRecord) -> list[Job]:
        """
        Search the account's request history for an order whose answer was lost. The request is free of charge.

        :param record: the intent of the order.
        :return: the candidate jobs. Their poll URLs are built from their ids and may not work.
        :raises SegmindError: the history does not answer.
        """
        found = self.client.run(history.find(self.settings, self.client.auth, record, clock=self.client.clock))
        return [Job(request_id, history.poll_url_of(self.settings, request_id), "QUEUED") for request_id in found]

    def upload(self, data: bytes, *, media_type: str) -> str:
        """
        Upload an input file for a job. The upload is free, but public to anyone who knows its URL.

        :param data: the file's bytes.
        :param media_type: like ``image/png``.
        :return: URL of the file.
        """
        return self.client.run(flow.upload(self.settings, self.client.auth, data, media_type))

    def test_connection(self) -> tuple[bool, str]:
        """Ask for the balance, which is free, and return whether the key works."""
        try:
            balance = self.get_credits()
        except Exception as error:  # noqa: BLE001 - Airflow shows the text, but a blank page for an exception
            return False, str(error)
        return True, f"The key works at {self.settings.base_url}. Balance: ${balance:.2f}."

    def examine(self, out: str, *, order: bool = False) -> str:
        """
        Find out what the service really does, as ``python -m airflow_provider_segmind.doctor`` does.

        Without ``order`` it costs nothing and takes less than a minute.

        :param out: local folder for report and cassette. With ``order``, one that outlives the task and that all its
            tries see: a retry continues with its record of the order.
        :param order: whether to order one swap, for about $0.27. A retry only continues with the order of the folder.
        :return: the report, in Markdown.
        :raises InvalidRequestError: the folder cannot be used.
        """
        from airflow_provider_segmind.doctor.run import examine

        agree = (lambda _: _is_first_try()) if order else None
        return str(examine(self.settings, Path(out), agree=agree, say=self.log.info))

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return how the form shows the standard fields; Airflow 3.2 and later read this from the provider info."""
        return connection.ui_field_behaviour()

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form's own fields; Airflow 3.2 and later read them from the provider info."""
        return connection.widgets()

    # The overrides below make HttpHook's own `run` safe. Without them it sends connection extras as headers, appends
    # absolute URLs to the base URL, has no timeout, follows redirects with the key, and drops the body of errors.

    def get_conn(
        self, headers: dict[Any, Any] | None = None, extra_options: dict[str, Any] | None = None
    ) -> requests.Session:
        """Return a session that adds the key to requests, but only for hosts that may receive it."""
        session = prepare_session(self._new_session())
        session.auth = self._add_key
        session.headers.update(headers or {})
        self.merged_extra = dict(extra_options or {})
        return session

    def url_from_endpoint(self, endpoint: str | None) -> str:
        """Return an absolute URL unchanged, and a path as a URL below the connection's base URL."""
        if endpoint and "://" in endpoint:
            return endpoint
        return f"{self.settings.base_url}/{(endpoint or '').lstrip('/')}"

    def run_and_check(
        self, session: requests.Session, prepped_request: requests.PreparedRequest, extra_options: dict[Any, Any]
    ) -> Any:
        """Send a request without redirects, and with timeouts unless the caller sets them."""
        timeouts = (self.settings.connect_timeout, self.settings.read_timeout)
        bounded = {"timeout": timeouts, **extra_options, "allow_redirects": False}
        with nullcontext() if "timeout" in extra_options else exchange(sum(timeouts)):
            return super().run_and_check(session, prepped_request, bounded)

    def check_response(self, response: requests.Response) -> None:
        """Raise the error that says who must act, with the service's own message."""
        if response.status_code >= 300:
            fields = {name.lower(): value for name, value in response.headers.items()}
            answer = Response(response.status_code, fields, response.content, time.time())
            raise refusals.refusal(self.settings, answer, f"{response.request.method} was refused.")

    def _run(self, steps: flow.Flow[T], *, polls: bool = False) -> T:
        try:
            return self.client.run(steps, polls=polls)
        finally:
            self.counters.emit()

    def _new_session(self) -> requests.Session:
        session = Session()
        session.verify = self.settings.verify
        session.proxies.update(self.settings.proxies)
        return session

    def _add_key(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        url = request.url or ""
        if self.settings.may_receive_key(url, also=(self.settings.storage_url,)):
            scheme = self.client.auth.order(self.settings)[0]
            request.headers.update(protocol.headers(self.settings, Request(request.method or "GET", url, scheme)))
        return request


def _is_first_try() -> bool:
    """Whether this is no retry of a task, whose first try may have left its record on another machine."""
    try:
        return bool(get_current_context()["ti"].try_number <= 1)
    except RuntimeError:  # no task
        return True
