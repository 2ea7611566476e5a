"""A bucket on a local server that speaks S3, where the pipeline finds its photographs and leaves its pictures."""

from __future__ import annotations

import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

import requests

from demo.airflow_settings import LOOPBACK, free_port
from demo.child import Child

NAME = "catalogue"
ROOT = f"s3://aws_default@{NAME}"
"""The bucket as the pipeline's tasks name it."""
REGION = "us-east-1"


class Bucket:
    """
    The server as a child process, with one bucket.

    :param folder: where its log goes.
    """

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.url = f"http://{LOOPBACK}:{port}"
        self._login, self._password = "demo", secrets.token_urlsafe(12)
        command = (sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(port))
        self._child = Child("s3", command, {**os.environ, "PYTHONUNBUFFERED": "1"}, folder / "s3.log")
        self._bucket: Any = None

    @property
    def connection(self) -> str:
        """The Airflow connection as JSON."""
        extra = {"endpoint_url": self.url, "region_name": REGION}
        return json.dumps({"conn_type": "aws", "login": self._login, "password": self._password, "extra": extra})

    def start(self, timeout: float = 30.0) -> None:
        """
        Start it, and make the bucket once it answers.

        :param timeout: seconds.
        :raises ChildDiedError: it does not come up.
        """
        self._child.start()
        self._child.wait_until_ready(self._answers, timeout)
        import boto3  # here, because it takes a while to import, and nobody waits for it now

        resource = boto3.resource(
            "s3",
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=self._login,
            aws_secret_access_key=self._password,
        )
        self._bucket = resource.create_bucket(Bucket=NAME)

    def _answers(self) -> bool:
        try:
            return requests.get(self.url, timeout=5).ok
        except requests.RequestException:
            return False

    def put(self, key: str, data: bytes) -> None:
        """Store an object."""
        self._bucket.put_object(Key=key, Body=data)

    def get(self, uri: str) -> bytes:
        """
        Return an object.

        :param uri: ``s3://…/key`` as the pipeline's tasks name it, with or without a connection.
        """
        key = uri.removeprefix("s3://").partition("/")[2]
        data: bytes = self._bucket.Object(key).get()["Body"].read()
        return data

    def keys(self) -> list[str]:
        """Return the names of all objects."""
        return sorted(found.key for found in self._bucket.objects.all())

    def check(self) -> None:
        """Raise if the server died."""
        self._child.check()

    def stop(self) -> None:
        """End the server."""
        self._child.stop(grace=3.0)
