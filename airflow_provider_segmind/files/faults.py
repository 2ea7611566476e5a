"""What a storage's error means: final, or passing, so that a retry helps. Its status and its number decide."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from airflow_provider_segmind.api.errors import SegmindError

Meaning = Literal["final", "passing"]

_PASSING_STATUS = frozenset({302, 303, 307, 308, 408, 409, 423, 425, 429})  # and 5xx
_FINAL_ERRNO = frozenset(
    {
        *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL),
        *(errno.EACCES, errno.EPERM, errno.EROFS, errno.EEXIST, errno.ENOTEMPTY, errno.ENOSYS, errno.EXDEV),
        *(errno.EREMCHG, errno.EMSGSIZE),  # s3fs: a bucket of another region, a key or file that is too large
    }
)
# Classes by name, with those that inherit from them: the libraries of the storages need not be installed.
_PASSING_NAMES = frozenset(
    {
        *("ConnectionError", "TimeoutError", "Timeout", "SSLError", "JSONDecodeError", "IncompleteRead"),
        *("HTTPClientError", "IncompleteReadError"),  # botocore
        *("ClientConnectionError", "ClientPayloadError", "ChunkedEncodingError", "ProxyError"),  # aiohttp, requests
        *("TransportError", "ChecksumError"),  # google.auth, gcsfs
        *("ServiceRequestError", "ServiceResponseError"),  # azure.core
    }
)
_FINAL_NAMES = frozenset(
    {
        *("FileNotFoundError", "PermissionError", "IsADirectoryError", "NotADirectoryError", "FileExistsError"),
        *("ImportError", "NotImplementedError", "ValueError"),
        *("NoCredentialsError", "PartialCredentialsError", "ParamValidationError", "ProfileNotFound", "NoRegionError"),
        *("InvalidRegionError", "SSOTokenLoadError", "UnauthorizedSSOTokenError"),  # botocore
        *("DefaultCredentialsError", "RefreshError", "MalformedError"),  # google.auth
        *("ClientAuthenticationError", "ResourceNotFoundError", "ResourceExistsError"),  # azure.core
        "AirflowNotFoundException",  # a connection that does not exist
    }
)
# Words of error codes, and of errors that have neither a status nor a number. Some come with a misleading status: S3
# sends RequestTimeout with 400, Google a rate limit with 403.
_PASSING_WORDS = re.compile(
    r"slow ?down|reduce your request rate|throttl|rate.?limit|too ?many|busy|time[d ]*.?out|internal.?(server.?)?error"
    r"|unavailable|aborted|incomplete.?body|bad.?digest|backend.?error|quota|try again|reset by peer",
    re.IGNORECASE,
)
_FINAL_WORDS = re.compile(
    r"no.?such|not.?found|does not exist|denied|forbidden|unauthorized|invalid|malformed|credential|signature.?does"
    r"|expired|authenticat|anonymous caller|account.?(problem|disabled)",
    re.IGNORECASE,
)
_NO_ANSWER = re.compile(r"response (?:429|5\d\d)|could not connect|connect timeout|no response from", re.IGNORECASE)
"""What clients say of a service that gives credentials, and did not answer; their classes are those of a refusal."""
_LIMITED = re.compile(r"rate.?limit|quota.?exceed|slow.?down|too.?many", re.IGNORECASE)
"""What a 403 of GCS says when a limit is reached; other words can be the name of a bucket."""
_PATHS = re.compile(r"\S*/\S*")
_DEEPEST = 16


def storage_failure(error: BaseException) -> Meaning:
    """Return whether a retry may help; an error of which nothing is known may pass."""
    found = [meaning for one in _chain(error) if (meaning := _meaning(one)) is not None]
    # A client may say "not found" for an answer that never came, so one passing error among its causes is enough.
    return "final" if found and "passing" not in found else "passing"


def _chain(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    for _ in range(_DEEPEST):
        if one is None or isinstance(one, SegmindError):
            return
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _meaning(error: BaseException) -> Meaning | None:
    """Return what one error says by itself."""
    code, words = _code(error), _PATHS.sub(" ", str(error))
    if getattr(error, "retryable", None) is True or _PASSING_WORDS.search(code):
        return "passing"
    status = _status(error)
    if status is not None:
        limited = status == 403 and _LIMITED.search(words)
        return "passing" if status >= 500 or status in _PASSING_STATUS or limited else "final"
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & _PASSING_NAMES:  # before the number, which for an SSLError is OpenSSL's
        return "passing"
    if isinstance(error, OSError) and isinstance(error.errno, int):
        return "final" if error.errno in _FINAL_ERRNO else "passing"
    if _NO_ANSWER.search(words):
        return "passing"
    if names & _FINAL_NAMES or _FINAL_WORDS.search(code):
        return "final"
    if _PASSING_WORDS.search(words):
        return "passing"
    return "final" if _FINAL_WORDS.search(words) else None


def _code(error: BaseException) -> str:
    """Return the storage's own word for an error: botocore's, or Azure's."""
    code: Any = getattr(error, "error_code", None)
    response = getattr(error, "response", None)
    if isinstance(response, Mapping) and isinstance(response.get("Error"), Mapping):
        code = response["Error"].get("Code")
    code = getattr(code, "value", code)
    return code if isinstance(code, str) else ""


def _status(error: BaseException) -> int | None:
    """Return the HTTP status of an error of botocore, gcsfs, azure.core, aiohttp or requests."""
    response: Any = getattr(error, "response", None)
    if isinstance(response, Mapping):
        told = response.get("ResponseMetadata")
        said = [told.get("HTTPStatusCode") if isinstance(told, Mapping) else None, _code(error)]
    else:
        said = [getattr(error, name, None) for name in ("status_code", "status", "code")]
        said += [getattr(response, name, None) for name in ("status_code", "status")]
    # gcsfs has numbers and texts; an IntEnum formats as its number.
    numbers = (f"{value:d}" if isinstance(value, int) else value for value in said if isinstance(value, int | str))
    return next((int(number) for number in numbers if re.fullmatch("[345][0-9][0-9]", number)), None)
