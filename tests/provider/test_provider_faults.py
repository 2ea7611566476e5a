"""What a storage's error means decides whether a task is tried again: for s3fs, gcsfs, adlfs and local files."""

from __future__ import annotations

import errno
import ssl
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.exceptions as boto
import pytest
from s3fs.errors import translate_boto_error

from airflow_provider_segmind.api.errors import InvalidRequestError, SegmindError, TransportError
from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.files.faults import storage_failure
from airflow_provider_segmind.files.objects import read_up_to, size_of, storage_errors, storage_path
from airflow_provider_segmind.files.publish import publish, put
from airflow_provider_segmind.operators.body_swap import BodySwapBatchOperator
from airflow_provider_segmind.operators.quality import CheckSwapInputOperator
from airflow_provider_segmind.transfers.object_storage import (
    ObjectStorageToSegmindOperator,
    SegmindToObjectStorageOperator,
)
from tests.provider.faulty_s3 import ANSWERS, BROKEN, PASSING, FaultyS3, connect, faulty_s3
from tests.provider.odd_host import PICTURE
from tests.provider.running import context

pytestmark = pytest.mark.filterwarnings("default")  # of boto, which are not ours

SECRETS = ("5ecret", "AKIAEXAMPLE", "hunter2")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    with faulty_s3(monkeypatch) as running:
        yield running


def read(key: str, conn_id: str = "faulty") -> Any:
    return read_up_to(2**20, "character_image", f"s3://{conn_id}@bucket/{key}")


def write(key: str, conn_id: str = "faulty") -> Any:
    return put(storage_path("destination", f"s3://{conn_id}@bucket/{key}"), PICTURE)


def publish_it(key: str, conn_id: str = "faulty") -> Any:
    return publish(storage_path("destination", f"s3://{conn_id}@bucket/{key}"), PICTURE)


def look(key: str, conn_id: str = "faulty") -> Any:
    return size_of("character_image", f"s3://{conn_id}@bucket/{key}")


def said_by(act: Any, key: str, *conn_id: str) -> SegmindError:
    with pytest.raises(SegmindError) as error:
        act(key, *conn_id)
    said = "".join(traceback.format_exception(error.value))
    assert not any(secret in said for secret in SECRETS)
    assert f"bucket/{key}" in str(error.value)
    assert ("character_image" if act in (read, look) else "destination") in str(error.value)
    return error.value


def where_it_comes(mode: str) -> list[Any]:
    """Return what meets an answer: S3 times out where a body is sent or read, and what is not there is written."""
    if mode == "request-timeout":
        return [read, write]
    return [read, look, write] if mode.startswith("no-") else [read, look, write, publish_it]


@pytest.mark.parametrize(("act", "mode"), [(act, mode) for mode in ANSWERS for act in where_it_comes(mode)])
def test_what_s3_answers_decides_whether_it_is_asked_again(server: FaultyS3, act: Any, mode: str) -> None:
    error = said_by(act, f"{mode}/a.png")
    assert type(error) is (TransportError if mode in PASSING else InvalidRequestError)


@pytest.mark.parametrize(
    ("act", "mode"), [(act, mode) for act in (read, write) for mode in BROKEN if (act, mode) != (write, "cut")]
)
def test_a_line_that_breaks_is_asked_again_and_then_works(server: FaultyS3, act: Any, mode: str) -> None:
    assert type(said_by(act, f"{mode}/a.png")) is TransportError
    server.repaired = True
    assert act(f"{mode}/a.png") in (PICTURE, None)


@pytest.mark.parametrize("act", [read, look, write, publish_it])
@pytest.mark.parametrize(("conn_id", "host"), [("refused", "127.0.0.1:9"), ("unresolved", "no-such-host.invalid")])
def test_an_endpoint_that_cannot_be_reached_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, act: Any, conn_id: str, host: str
) -> None:
    connect(monkeypatch, conn_id, f"http://{host}")
    assert type(said_by(act, "a.png", conn_id)) is TransportError


@pytest.mark.parametrize("kind", ["picture", "manifest", "results_uri", "check", "upload", "storing"])
@pytest.mark.parametrize(("mode", "passes"), [("slow-down", True), ("denied", False)])
def test_each_task_is_tried_again_for_what_may_pass_and_names_parameter_and_line(
    server: FaultyS3, emulator: Emulator, tmp_path: Path, kind: str, mode: str, passes: bool
) -> None:
    uri, person, scene = f"s3://faulty@bucket/{mode}/a.jsonl", emulator.sample("person"), emulator.sample("scene")
    good, bad = ({"character_image": image, "reference_character_image": person} for image in (scene, uri))
    results = str(tmp_path / "r.jsonl")
    outputs = [{"keyname": "k", "type": "image", "url": scene}]
    task, words = {
        "picture": (
            BodySwapBatchOperator(task_id="t", swaps=[good, bad], results_uri=results),
            ["item 1: character_image"],
        ),
        "manifest": (BodySwapBatchOperator(task_id="t", swaps=uri, results_uri=results), ["swaps"]),
        "results_uri": (
            BodySwapBatchOperator(task_id="t", swaps=[good], results_uri=uri),
            ["results_uri", "nothing was ordered"],
        ),
        "check": (CheckSwapInputOperator(task_id="t", **bad), ["character_image"]),
        "upload": (ObjectStorageToSegmindOperator(task_id="t", source=[uri]), ["source"]),
        "storing": (
            SegmindToObjectStorageOperator(
                task_id="t",
                results={"request_id": "r", "status": "COMPLETED", "outputs": outputs},
                destination=f"s3://faulty@bucket/{mode}",
            ),
            ["destination", "without a second bill"],
        ),
    }[kind]
    with pytest.raises(TransportError if passes else AirflowFailException) as error:
        task.execute(context())
    for said in (*words, f"s3://faulty@bucket/{mode}"):
        assert said in str(error.value)
    assert not emulator.charges


class HttpError(Exception):
    """As gcsfs raises it."""

    def __init__(self, code: int | str | None, message: str = "") -> None:
        super().__init__(message)
        self.code, self.message = code, message


class HttpResponseError(Exception):
    """As azure.core raises it."""

    def __init__(self, status: int | None = None, error_code: str | None = None) -> None:
        super().__init__("The server said no.")
        self.status_code, self.error_code = status, error_code


def named(name: str, *bases: type[BaseException], words: str = "no words", **facts: Any) -> BaseException:
    """Return an error as a library's class of that name would be, which is not installed here."""
    return type(name, bases or (Exception,), facts)(words)


def credentials(words: str) -> boto.CredentialRetrievalError:
    return boto.CredentialRetrievalError(provider="container-role", error_msg=words)


def because(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def client_error(code: str, status: int | None = None) -> boto.ClientError:
    facts: Any = {"Error": {"Code": code, "Message": "m"}}
    return boto.ClientError(
        {**facts, **({"ResponseMetadata": {"HTTPStatusCode": status}} if status else {})}, "GetObject"
    )


def during(error: BaseException, other: BaseException) -> BaseException:
    error.__context__ = other
    return error


@pytest.mark.parametrize(
    "error",
    [
        OSError(16, "Service Unavailable"),
        TimeoutError("timed out"),
        ConnectionResetError(),
        BrokenPipeError(),
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EIO, "Input/output error"),
        OSError(errno.ESTALE, "Stale file handle"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        OSError("Please reduce your request rate."),
        ssl.SSLCertVerificationError(1, "certificate verify failed"),
        translate_boto_error(client_error("SlowDown", 503)),
        translate_boto_error(client_error("IncompleteBody", 400)),
        translate_boto_error(client_error("SomethingNew", 503)),
        client_error("ThrottlingException"),
        client_error("OperationAborted", 409),
        boto.EndpointConnectionError(endpoint_url="https://bucket.s3.amazonaws.com/"),
        boto.ReadTimeoutError(endpoint_url="https://bucket.s3.amazonaws.com/"),
        boto.ConnectTimeoutError(endpoint_url="https://bucket.s3.amazonaws.com/"),
        boto.ConnectionClosedError(endpoint_url="https://bucket.s3.amazonaws.com/"),
        boto.IncompleteReadError(actual_bytes=1, expected_bytes=2),
        HttpError(503),
        HttpError("429"),
        HttpError(403, "The project exceeded the rate limit for updating an object."),
        named("RefreshError", retryable=True),
        named("TransportError"),
        named("ServerDisconnectedError", type("ClientConnectionError", (Exception,), {})),
        HttpResponseError(503, "ServerBusy"),
        HttpResponseError(500, "OperationTimedOut"),
        named("ServiceRequestError"),
        because(FileNotFoundError("c/a.jpg"), HttpResponseError(503)),
        because(ValueError("unable to connect to account for no words"), named("ServiceRequestError")),
        during(OSError(16, "Please reduce your request rate."), FileNotFoundError("a.jpg")),
        RuntimeError("nobody knows"),
        credentials("Received non 200 response 503 from container metadata: agent not ready"),
        credentials("Received non 200 response 429 from container metadata: Too many requests"),
        credentials('Could not connect to the endpoint URL: "http://169.254.170.23/v1/credentials"'),
        credentials("Connect timeout on endpoint URL"),
        named("ClientAuthenticationError", words="authentication unavailable, no response from the IMDS endpoint."),
    ],
    ids=repr,
)
def test_what_may_pass_is_tried_again(error: BaseException) -> None:
    assert storage_failure(error) == "passing"
    with pytest.raises(TransportError, match=r"character_image 's3://b/a.jpg' cannot be read \(.*\)\. .*try it again"):
        fail(error)


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError(errno.ENOENT, "No such file or directory"),
        FileNotFoundError("pictures/busy/timeout-503.jpg"),
        PermissionError(errno.EACCES, "Permission denied"),
        PermissionError("Access Denied"),
        IsADirectoryError(errno.EISDIR, "Is a directory"),
        OSError(errno.EROFS, "Read-only file system"),
        OSError(errno.ENAMETOOLONG, "File name too long"),
        OSError("Forbidden: b/bucket/o/timeout.jpg\nno storage.objects.get access"),
        translate_boto_error(client_error("NoSuchBucket", 404)),
        translate_boto_error(client_error("InvalidBucketName", 400)),
        translate_boto_error(client_error("AuthorizationHeaderMalformed", 400)),
        client_error("AccessDenied"),
        client_error("404"),
        client_error("KMS.DisabledException", 400),
        boto.NoCredentialsError(),
        credentials("Received non 200 response 404 from container metadata"),
        credentials("the role does not exist"),
        boto.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
        boto.ParamValidationError(report="Invalid bucket name"),
        HttpError(401, "Invalid Credentials"),
        HttpError(403, "service@x.iam has no storage.objects.get access to busy-quota-bucket"),
        HttpError("400", "Bad Request"),
        named("DefaultCredentialsError"),
        named("RefreshError"),
        HttpResponseError(404, "ContainerNotFound"),
        HttpResponseError(403, "AuthorizationPermissionMismatch"),
        named("ResourceNotFoundError"),
        named("ClientAuthenticationError"),
        because(FileNotFoundError("c/a.jpg"), HttpResponseError(404)),
        during(FileNotFoundError("c/a.jpg"), KeyError("a.jpg")),
        ValueError("Must provide either a connection_string or account_name"),
        NotImplementedError("sign"),
    ],
    ids=repr,
)
def test_what_no_retry_can_help_is_final(error: BaseException) -> None:
    assert storage_failure(error) == "final"
    with pytest.raises(InvalidRequestError, match=r"character_image 's3://b/a.jpg' cannot be read \(.*\): look"):
        fail(error)


def fail(error: BaseException) -> None:
    with storage_errors("character_image", "s3://b/a.jpg", "read", final=": look there.", passing="try it again."):
        raise error


def test_the_classes_of_gcsfs_and_adlfs_themselves_are_understood() -> None:
    retry = pytest.importorskip("gcsfs.retry")
    azure = pytest.importorskip("azure.core.exceptions")
    for status, meaning in {
        404: "final",
        403: "final",
        401: "final",
        429: "passing",
        502: "passing",
        503: "passing",
    }.items():
        with pytest.raises(Exception) as error:
            retry.validate_response(status, b"", "b/bucket/o/a.jpg")
        assert storage_failure(error.value) == meaning, status
    assert storage_failure(azure.ServiceResponseError("cut")) == "passing"
    assert storage_failure(azure.ResourceNotFoundError("x")) == "final"


@pytest.mark.parametrize(
    ("uri", "package"),
    [
        ("gs://shop/a.jpg", "apache-airflow-providers-google"),
        ("gcs://shop/a.jpg", "apache-airflow-providers-google"),
        ("abfs://c@account/a.jpg", "apache-airflow-providers-microsoft-azure"),
        ("wasb://c@account/a.jpg", "apache-airflow-providers-microsoft-azure"),
    ],
)
def test_a_storage_without_its_package_names_the_package(uri: str, package: str) -> None:
    for act in (lambda: read_up_to(1, "character_image", uri), lambda: storage_path("destination", uri)):
        with pytest.raises(InvalidRequestError, match=f"no storage that this Airflow knows.*{package}"):
            act()


def test_a_package_without_its_extra_names_the_extra() -> None:
    with pytest.raises(InvalidRequestError, match=r"apache-airflow-providers-amazon\[s3fs\]"):
        fail(ImportError("No module named 's3fs'"))


def test_a_file_system_that_is_full_or_read_only_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidRequestError, match="destination"):
        put(storage_path("destination", str(tmp_path / "file" / "a.png")), b"x")
    full = Path("/dev/full")
    if full.exists():
        with (
            pytest.raises(TransportError, match="No space left"),
            storage_errors("destination", str(full), "written", final=".", passing="."),
        ):
            full.write_bytes(b"x")
