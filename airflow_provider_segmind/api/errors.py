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
    """The key is missing, wrong or not allowed to do this (401, 403). The connection's administrator must act."""

    retryable = False


class CreditsError(SegmindError):
    """The account cannot pay, or a spend limit is reached (406). The account's owner must act. Nothing was billed."""

    retryable = False


class InvalidRequestError(SegmindError, ValueError):
    """The request itself is wrong (400, 404 on submit, 406, bad input). The DAG's author must act."""

    retryable = False


class RateLimitError(SegmindError):
    """
    Too many requests (429). Waiting helps, no action is needed. A 429 is never accepted, so never billed.

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
    """The service failed (5xx), or its answer cannot be read (not JSON, cut off). It may work later."""


class TransportError(SegmindError):
    """The service could not be reached, or the answer to a safely repeatable request was lost."""


class OutcomeUnknownError(SegmindError):
    """An order was sent and its answer never came: the job may exist and be billed. A person must check."""

    retryable = False


class JobFailedError(SegmindError):
    """Segmind reports that the job FAILED. Polling again gives the same answer; a new order is a new bill."""


class JobExpiredError(SegmindError):
    """Segmind no longer knows the job (404). The job was paid for, and its result is no longer available."""

    retryable = False


class JobTimeoutError(SegmindError):
    """The deadline passed while the job was still running. It cannot be cancelled, may finish, and is then billed."""


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
