"""The one error of this package, so that all of its messages tell the reader the same way out."""

from __future__ import annotations

from airflow_provider_segmind.api.errors import InvalidRequestError


def refusal(kind: str, reason: str) -> InvalidRequestError:
    """
    Return the error for a picture whose metadata cannot be read or written.

    :param kind: what it was taken for, as ``JPEG``.
    :param reason: what is wrong with it, as the end of a sentence.
    """
    return InvalidRequestError(
        f"The {kind} picture cannot be labelled: {reason}. Its bytes were not changed: keep them as they came, "
        "and let whoever publishes the picture check it and label it."
    )
