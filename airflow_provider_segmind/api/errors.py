"""The exception tree, sorted by who must act."""

from __future__ import annotations


class SegmindError(Exception):
    """
    Anything that went wrong with Segmind; the subclass says who must act.

    :param message: one or two sentences: what happened, with the value that caused it, and the remedy.
    :param status: HTTP status of the answer, or ``None`` when there was no answer.
    :param detail: the service's own words, with secrets removed.
    :param request_id: the job it concerns, if it is known. The id is what Segmind's support asks for.
    """

    retryable = True
    """Whether the same call can be tried again without a person acting first and without a second bill."""

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
    """The key is missing, wrong or may not do this (401, 403): whoever manages the connection must act."""

    retryable = False


class CreditsError(SegmindError):
    """The account cannot pay, or a spend limit is reached (406): whoever pays must act. Nothing was billed."""

    retryable = False


class InvalidRequestError(SegmindError, ValueError):
    """The request itself is wrong (400, 404 on submit, 406, bad input): the DAG's author must act."""

    retryable = False


class RateLimitError(SegmindError):
    """
    Too many requests (429): nobody must act, waiting helps. A 429 was never accepted, so never billed.

    :param retry_after: seconds until the service expects the next request, or ``None`` if it did not say.
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
    """The service failed (5xx) or its answer cannot be read (not JSON, cut off): it may work later."""


class TransportError(SegmindError):
    """The service could not be reached, or the answer to a request that is safe to repeat was lost."""


class OutcomeUnknownError(SegmindError):
    """A submit was sent and its answer never came: the job may exist and be billed. A person must look."""

    retryable = False


class JobFailedError(SegmindError):
    """Segmind reports that the job FAILED. Asking again gives the same answer; a new order is a new bill."""


class JobExpiredError(SegmindError):
    """Segmind no longer knows the job (404): it was paid for and its result can no longer be asked for."""

    retryable = False


class JobTimeoutError(SegmindError):
    """The deadline passed while the job was still running. It cannot be cancelled, may finish, and bills."""


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
