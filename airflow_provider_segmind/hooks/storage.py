"""Read from object storage, up to a size and with an error that names the parameter."""

from __future__ import annotations

from airflow.sdk import ObjectStoragePath

from airflow_provider_segmind.api.errors import InvalidRequestError


def read_up_to(size: int, name: str, uri: str) -> bytes:
    """
    Return the beginning of a file.

    :param size: bytes to read at most.
    :param name: the parameter that named the file, for messages.
    :param uri: a path, ``file://``, ``s3://`` or any other URI that Airflow's object storage reads.
    :raises InvalidRequestError: when it cannot be read.
    """
    try:
        with ObjectStoragePath(uri).open("rb") as file:
            data: bytes = file.read(size)
    except (OSError, ValueError, ImportError) as error:
        raise InvalidRequestError(
            f"{name} {uri!r} cannot be read ({type(error).__name__}: {error}): check the path and who may read it."
        ) from error
    return data
