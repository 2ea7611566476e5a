"""The exception tree, sorted by who must act."""

from __future__ import annotations


class SegmindError(Exception):
    """
    Any error of Segmind; the subclass says who must act.

    :param message: one or two sentences: what happened, with the value that caused it, and the remedy.
    :param status: HTTP status of the answer; ``None`` if there was no answer.
    :param detail: the service's own words, with secrets removed.
    :param request_id: the job's id, if known. Segmind's support asks for it.
    """

    retryable = True
    """Whether a retry needs no action by a person first and cannot cause a second bill."""

    def __init__(
        self, message: str, *, status: int | None = None, detail: str = "", request_id: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.detail = detail
        self.request_id = request_id

    def __str__(self) -> str:
        parts = [self.message]
        if self.detail and self.detail not in self.message:
            parts.append(f"Segmind said: {self.detail}")
        facts = []
        if self.status is not None:
            facts.append(f"HTTP {self.status}")
        if self.request_id:
            facts.append(f"request {self.request_id}")
        if facts:
            parts.append(f"({', '.join(facts)})")
        return " ".join(parts)


class AuthenticationError(SegmindError):
    """
    The key is missing, wrong or not allowed to do this (401, 403), or there is no such connection.

    Not billed. The task fails for good; while it waits for a job, it follows its ``retries``. The connection's
    administrator must act.
    """

    retryable = False


class CreditsError(SegmindError):
    """
    The account cannot pay (406), or a limit is reached: Segmind's, ``max_spend_per_run`` or ``max_spend_per_day``.

    Not billed. The task fails for good, unless it has ordered something already. The account's owner must act.
    """

    retryable = False


class InvalidRequestError(SegmindError, ValueError):
    """
    The request itself is wrong: 400, 404 on submit, another 406, a redirect, or bad input found before sending.

    Not billed; only for a wrong ``output_key`` the job is paid for, and the message lists its outputs. The task fails
    for good. The DAG's author must act.
    """

    retryable = False


class RateLimitError(SegmindError):
    """
    Too many requests (429). Waiting helps, no action is needed.

    Not billed: such a request was not accepted. A task that orders waits for five minutes, then follows its
    ``retries``; a sensor just waits.

    :param retry_after: seconds until the service expects the next request; ``None`` if it did not say.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = 429,
        detail: str = "",
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, status=status, detail=detail, request_id=request_id)
        self.retry_after = retry_after


class ServiceError(SegmindError):
    """
    An answer that says nothing about the job: a 5xx, a redirect, a firewall's page, or what cannot be read.

    Also an unreadable answer to an upload, and a body swap without any picture. Not billed by this. A waiting
    task asks again until ``timeout`` or ``max_outage``, and then follows its ``retries``.
    """


class TransportError(SegmindError):
    """
    Segmind or a storage could not be reached, or the answer to a safely repeatable request was lost.

    Not billed: no order was sent. A task that orders tries five more times, then follows its ``retries``; a task that
    waits does as for :class:`ServiceError`.
    """


class OutcomeUnknownError(SegmindError):
    """
    An order was sent, its answer never came, and the request history does not have exactly one such order.

    **Perhaps billed.** The task fails for good. A person must check.
    """

    retryable = False


class JobFailedError(SegmindError):
    """
    Segmind reports that the job FAILED. Polling again gives the same answer.

    Assume that it was billed. A sensor's task fails for good; of ``BodySwapOperator`` each of the ``retries`` is a new
    order and a new bill.
    """


class JobExpiredError(SegmindError):
    """
    Segmind no longer knows the job: it answered nothing but 404 for a minute and a half. The result is lost.

    Billed, if it was accepted. The task fails for good.
    """

    retryable = False


class JobTimeoutError(SegmindError):
    """
    The deadline passed while the job was still running. It cannot be cancelled.

    Billed if it finishes. A sensor's task fails for good (``AirflowSensorTimeout``); of ``BodySwapOperator`` the
    ``retries`` wait for the same job.
    """


BY_NAME: dict[str, type[SegmindError]] = {
    cls.__name__: cls
    for cls in (
        SegmindError,
        AuthenticationError,
        CreditsError,
        InvalidRequestError,
        RateLimitError,
        ServiceError,
        TransportError,
        OutcomeUnknownError,
        JobFailedError,
        JobExpiredError,
        JobTimeoutError,
    )
}
"""The classes by name, for errors that cross a process border as text."""
