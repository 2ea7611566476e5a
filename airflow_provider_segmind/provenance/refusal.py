"""The one error of this package, so that all messages name the same remedy."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TypeVar

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.media import MAX_PARTS

T = TypeVar("T")


def counted(kind: str, parts: Iterator[T]) -> tuple[T, ...]:
    """
    Return a file's parts; limited, since parts of a few bytes could cost many times the file's size.

    :raises InvalidRequestError: if there are more parts than any encoder writes.
    """
    found = tuple(islice(parts, MAX_PARTS + 1))
    if len(found) > MAX_PARTS:
        raise refusal(kind, f"it is in more than {MAX_PARTS} parts")
    return found


def refusal(kind: str, reason: str) -> InvalidRequestError:
    """
    Return the error for a picture whose metadata cannot be read or written.

    :param kind: the assumed format, such as ``JPEG``.
    :param reason: the problem, as the end of a sentence.
    """
    return InvalidRequestError(
        f"The {kind} picture cannot be labelled: {reason}. Its bytes were not changed. Keep the file as it is. "
        "Before you publish the picture, check it and label it."
    )
