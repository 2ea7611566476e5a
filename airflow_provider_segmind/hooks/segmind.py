"""The hook: authenticated, bounded, redirect-free requests to Segmind for an Airflow connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import timedelta
from functools import cached_property
from typing import Any, TypeVar

import requests
from airflow.providers.http.hooks.http import HttpHook

from airflow_provider_segmind import connection
from airflow_provider_segmind.api import flow, history, protocol, refusals
from airflow_provider_segmind.api.client import Client
from airflow_provider_segmind.api.models import DEFAULT_HOST, Job, Settings
from airflow_provider_segmind.api.orders import Record
from airflow_provider_segmind.api.patience import Watch, check_interval, check_outage
from airflow_provider_segmind.api.results import check_not_failed
from airflow_provider_segmind.api.transport import Session, exchange, prepare_session
from airflow_provider_segmind.api.wire import Request, Response
from airflow_provider_segmind.connection import load_settings
from airflow_provider_segmind.observability.metrics import Tally

T = TypeVar("T")


class SegmindHook(HttpHook):
    """
    Talks to Segmind for an Airflow connection of type ``segmind``.

    The connection's password is the API key; it is sent only to the connection's own host and its trusted hosts.

    :param segmind_conn_id: the connection.
    """

    conn_name_attr = "segmind_conn_id"
    default_conn_name = "segmind_default"
    conn_type = "segmind"
    hook_name = "Segmind"
    default_host = DEFAULT_HOST

    def __init__(self, segmind_conn_id: str = default_conn_name) -> None:
        super().__init__(method="GET", http_conn_id=segmind_conn_id, tcp_keep_alive=False)
        self.segmind_conn_id = segmind_conn_id

    @cached_property
    def settings(self) -> Settings:
        """The connection, checked. It is looked up once per hook."""
        return load_settings(self.segmind_conn_id)

    @cached_property
    def client(self) -> Client:
        """The client that sends this hook's requests."""
        return Client(self.settings, prepare_session(self._new_session()))

    @cached_property
    def tally(self) -> Tally:
        """What is to be told to Airflow's metrics about this hook's requests and jobs."""
        return Tally(self.segmind_conn_id, self.client.traffic)

    def submit(self, workflow: str, inputs: Mapping[str, Any], *, before: Callable[[], None] = lambda: None) -> Job:
        """
        Order a job with one POST. It bills when it is accepted, and it cannot be cancelled.

        :param workflow: id and version, like ``678b67a76426baad7e539337-v4``.
        :param inputs: the workflow's inputs by name. For body swap both images are required, as ``https://`` URLs.
        :param before: called right before the order is sent; if it raises, nothing is sent.
        :return: the job, not done yet; keep its ``poll_url``.
        :raises SegmindError: see the subclasses; only
            :class:`~airflow_provider_segmind.api.errors.OutcomeUnknownError` may have been billed.
        """
        # Nothing comes between an accepted order and its record: what was counted is told with the next request.
        return self.client.run(flow.submit(self.settings, self.client.auth, workflow, inputs, before=before))

    def get_job(self, poll_url: str) -> Job:
        """
        Ask for a job's state with one GET, and raise whatever goes wrong at once.

        :param poll_url: the URL that the submit returned.
        :return: the job, also one that is ``FAILED``.
        :raises JobExpiredError: when Segmind does not know it; a job that was just ordered may only be late.
        :raises SegmindError: when the job cannot be asked for.
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

        An outage of the service is waited out, since the job is paid for; a line in the log says when one begins and
        when it ends.

        :param poll_url: the URL that the submit returned.
        :param poll_interval: seconds between polls; 7 is what Segmind documents.
        :param timeout: seconds to wait at most.
        :param max_outage: seconds that an outage may last before its last error is raised; ``None`` for ``timeout``.
        :return: the job, ``COMPLETED``.
        :raises JobFailedError: when it FAILED, with the reason.
        :raises JobExpiredError: when Segmind has not known it for a minute and a half.
        :raises JobTimeoutError: when it is not done in time; it may still finish, and is billed.
        :raises SegmindError: when the job cannot be asked for any more.
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
        Block as :meth:`wait` does, and return also a job that FAILED.

        :param poll_url: the URL that the submit returned.
        :param poll_interval: seconds between polls.
        :param timeout: seconds to wait at most.
        :param max_outage: seconds that an outage may last; ``None`` for ``timeout``.
        :return: the job, ``COMPLETED`` or ``FAILED``.
        :raises SegmindError: as :meth:`wait`, but for a job that FAILED.
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
        Ask for a job that somebody waits for: with one GET, or until it is clear whether a 404 is to be believed.

        :param watch: the wait; what is seen is noted in it.
        :return: the job if it is done, also one that is ``FAILED``; else how long to wait before asking again.
        :raises SegmindError: when the wait is over without the job being done.
        """
        return self._run(flow.poke(self.settings, self.client.auth, watch, self.client.clock), polls=True)

    def attach(self, poll_url: str) -> Job:
        """
        Ask for a job until there is an answer about it, waiting out an outage and 404s for five minutes at most.

        :param poll_url: where a job of an earlier attempt should be.
        :return: the job, in whatever state.
        :raises SegmindError: when there is no such job, or no answer.
        """
        steps = flow.attach(self.settings, self.client.auth, poll_url, clock=self.client.clock)
        return self._run(steps, polls=True)

    def get_credits(self) -> float:
        """Return the balance in US dollars, credits and free credits together. It is free of charge."""
        return self.client.run(flow.get_credits(self.settings, self.client.auth))

    def find_orders(self, record: Record) -> list[Job]:
        """
        Look an order whose answer was lost up in the account's request history. It is free of charge.

        :param record: the order's intent.
        :return: the jobs that can be it; their poll URLs are built from their ids, so they have to be tried.
        :raises SegmindError: when the history does not answer.
        """
        found = self.client.run(history.find(self.settings, self.client.auth, record, clock=self.client.clock))
        return [Job(request_id, history.poll_url_of(self.settings, request_id), "QUEUED") for request_id in found]

    def upload(self, data: bytes, *, media_type: str) -> str:
        """
        Upload a file that a job is to read. It is not billed, but public for whoever knows its URL.

        :param data: the file's bytes.
        :param media_type: like ``image/png``.
        :return: URL of the file.
        """
        return self.client.run(flow.upload(self.settings, self.client.auth, data, media_type))

    def test_connection(self) -> tuple[bool, str]:
        """Ask for the balance, which is free, and say whether the key works."""
        try:
            balance = self.get_credits()
        except Exception as error:  # noqa: BLE001 - Airflow shows the text; an exception would be a blank page
            return False, str(error)
        return True, f"The key works at {self.settings.base_url}. Balance: ${balance:.2f}."

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return how the form shows the standard fields; Airflow 3.2 and later read it from the provider info."""
        return connection.ui_field_behaviour()

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the form's own fields; Airflow 3.2 and later read them from the provider info."""
        return connection.widgets()

    # What follows closes the traps of HttpHook for those who call its own `run`: connection extras as headers,
    # absolute URLs glued to the base URL, no timeout, redirects that carry the key, errors without the body.

    def get_conn(
        self, headers: dict[Any, Any] | None = None, extra_options: dict[str, Any] | None = None
    ) -> requests.Session:
        """Return a session that adds the key, to requests for hosts that may receive it and to no other."""
        session = prepare_session(self._new_session())
        session.auth = self._add_key
        session.headers.update(headers or {})
        self.merged_extra = dict(extra_options or {})
        return session

    def url_from_endpoint(self, endpoint: str | None) -> str:
        """Return an absolute URL as it is, and a path below the connection's base URL."""
        if endpoint and "://" in endpoint:
            return endpoint
        return f"{self.settings.base_url}/{(endpoint or '').lstrip('/')}"

    def run_and_check(
        self, session: requests.Session, prepped_request: requests.PreparedRequest, extra_options: dict[Any, Any]
    ) -> Any:
        """Send a request without following redirects, in finite time unless the caller has timeouts of their own."""
        timeouts = (self.settings.connect_timeout, self.settings.read_timeout)
        bounded = {"timeout": timeouts, **extra_options, "allow_redirects": False}
        with nullcontext() if "timeout" in extra_options else exchange(sum(timeouts)):
            return super().run_and_check(session, prepped_request, bounded)

    def check_response(self, response: requests.Response) -> None:
        """Raise the error that says who must act, with the service's own words."""
        if response.status_code >= 300:
            fields = {name.lower(): value for name, value in response.headers.items()}
            answer = Response(response.status_code, fields, response.content, time.time())
            raise refusals.refusal(self.settings, answer, f"{response.request.method} was refused.")

    def _run(self, steps: flow.Flow[T], *, polls: bool = False) -> T:
        try:
            return self.client.run(steps, polls=polls)
        finally:
            self.tally.tell()

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
