"""A bucket on a local server that speaks S3, where the pipeline finds its photographs and leaves its pictures."""

from __future__ import annotations

import json
import logging
import secrets
from typing import Any, Self

from demo.airflow_settings import LOOPBACK

NAME = "catalogue"
ROOT = f"s3://aws_default@{NAME}"
"""The bucket as the pipeline's tasks name it."""
REGION = "us-east-1"


class Bucket:
    """
    The server in a thread of this process, with one bucket; use it in a ``with`` statement.

    ``connection`` is the Airflow connection to it as JSON.
    """

    def __enter__(self) -> Self:
        import boto3  # here, because these take a while to import
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it would print each request
        self._server = ThreadedMotoServer(LOOPBACK, 0, verbose=False)
        self._server.start()
        self.url = f"http://{LOOPBACK}:{self._server.get_host_and_port()[1]}"
        login, password = "demo", secrets.token_urlsafe(12)
        extra = {"endpoint_url": self.url, "region_name": REGION}
        self.connection = json.dumps({"conn_type": "aws", "login": login, "password": password, "extra": extra})
        resource = boto3.resource("s3", **extra, aws_access_key_id=login, aws_secret_access_key=password)
        self._bucket: Any = resource.create_bucket(Bucket=NAME)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def put(self, key: str, data: bytes) -> None:
        """Store an object."""
        self._bucket.put_object(Key=key, Body=data)

    def get(self, uri: str) -> bytes:
        """Return an object by its URI, as the pipeline's tasks name it, with or without a connection."""
        return bytes(self._bucket.Object(uri.removeprefix("s3://").partition("/")[2]).get()["Body"].read())

    def keys(self) -> list[str]:
        """Return the names of all objects."""
        return sorted(found.key for found in self._bucket.objects.all())
