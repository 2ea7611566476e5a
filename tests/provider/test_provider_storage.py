"""The same on a server that speaks S3; it needs moto[server], s3fs and the amazon provider, and is skipped without."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.transfers.object_storage import SegmindToObjectStorageOperator
from tests.provider.odd_host import PICTURE, own_host
from tests.provider.running import context

pytest.importorskip("moto.server")
pytest.importorskip("s3fs")
pytest.importorskip("airflow.providers.amazon")
pytestmark = pytest.mark.filterwarnings("default")  # of boto and moto, which are not ours


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    _, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
    try:
        found = boto3.resource("s3").Bucket("pictures")
        found.create()
        yield found
    finally:
        server.stop()


def test_a_bucket_gets_whole_pictures_once_and_no_part_of_a_faulty_one(
    bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with own_host(monkeypatch) as host:
        host.redirect = "http://169.254.169.254/"

        def store(*paths: str) -> Any:
            results = [
                {"request_id": f"r{i}", "outputs": [{"keyname": "k", "type": "image", "url": f"{host.url}/{path}"}]}
                for i, path in enumerate(paths)
            ]
            task = SegmindToObjectStorageOperator(task_id="s", results=results, destination="s3://pictures/a")
            return task.execute(context())

        assert [row["files"][0]["skipped"] for row in store("good", "good")] == [False, False]
        assert [row["files"][0]["skipped"] for row in store("good", "good")] == [True, True]
        with pytest.raises(SegmindError, match="4 of 6 pictures could not be stored"):
            store("good", "good", "html", "gone", "moved", "garbage")
        names = {found.key for found in bucket.objects.all()}
        assert names == {f"a/r{i}/k-0{end}" for i in (0, 1) for end in (".png", ".thumb.webp", ".json")}
        assert bucket.Object("a/r0/k-0.png").get()["Body"].read() == PICTURE
