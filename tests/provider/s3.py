"""A server that speaks S3, for tests: moto's, on a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from uuid import uuid4

import boto3
import pytest
from moto.server import ThreadedMotoServer


@cache
def _url() -> str:
    # One for all tests of a process, because s3fs keeps its clients as long. Its thread is a daemon.
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    return f"http://127.0.0.1:{port}"


@contextmanager
def s3_bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Give an empty bucket on a server that this process' AWS libraries find by themselves."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", _url())
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    found = boto3.resource("s3").Bucket(f"pictures-{uuid4()}")
    found.create()
    yield found
