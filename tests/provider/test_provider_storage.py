"""Storing on a server that speaks S3, through s3fs, with all that can go wrong on the way."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from airflow_provider_segmind.api.errors import (
    InvalidRequestError,
    JobExpiredError,
    SegmindError,
    ServiceError,
    TransportError,
)
from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.files.download import Limits
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.storage.keep import Item, StoreOptions
from airflow_provider_segmind.storage.store import store_all
from airflow_provider_segmind.transfers.object_storage import (
    ObjectStorageToSegmindOperator,
    SegmindToObjectStorageOperator,
)
from tests.provider.odd_host import PICTURE, OddHost, own_host
from tests.provider.running import context
from tests.provider.s3 import s3_bucket

pytestmark = pytest.mark.filterwarnings("default")  # of boto and moto, which are not ours


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with s3_bucket(monkeypatch) as found:
        yield found


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[OddHost]:
    with own_host(monkeypatch) as found:
        found.redirect = "http://169.254.169.254/"
        yield found


def result(host: OddHost, path: str, request_id: str) -> dict[str, Any]:
    outputs = [{"keyname": "k", "type": "image", "url": f"{host.url}/{path}"}]
    return {"request_id": request_id, "status": "COMPLETED", "error": None, "outputs": outputs}


def store(host: OddHost, bucket: Any, *paths: str, **more: Any) -> Any:
    given = {"results": [result(host, path, f"r{i}") for i, path in enumerate(paths)], "label_pictures": False, **more}
    task = SegmindToObjectStorageOperator(task_id="s", destination=f"s3://{bucket.name}/a", **given)
    return task.execute(context())


def names(bucket: Any) -> set[str]:
    return {found.key for found in bucket.objects.all()}


def test_a_bucket_gets_whole_pictures_once_and_no_part_of_a_faulty_one(bucket: Any, host: OddHost) -> None:
    assert [row["files"][0]["skipped"] for row in store(host, bucket, "good", "good")] == [False, False]
    assert [row["files"][0]["skipped"] for row in store(host, bucket, "good", "good")] == [True, True]
    with pytest.raises(SegmindError, match="4 of 6 pictures could not be stored"):
        store(host, bucket, "good", "good", "html", "gone", "moved", "garbage")
    assert names(bucket) == {f"a/r{i}/k-0{end}" for i in (0, 1) for end in (".png", ".thumb.webp", ".json")}
    assert bucket.Object("a/r0/k-0.png").get()["Body"].read() == PICTURE


@pytest.mark.parametrize(
    ("path", "kind", "said"),
    [
        ("cut", TransportError, "was cut off"),
        ("gone", JobExpiredError, "paid for and is lost"),
        ("html", ServiceError, "Sign in first"),
        ("endless", InvalidRequestError, "larger than 50 MiB"),
        ("moved", InvalidRequestError, r"169\.254\.169\.254"),
        ("short-length", TransportError, "the picture's end is missing"),
        ("garbage", ServiceError, "cannot be decoded"),
    ],
)
def test_each_fault_of_a_download_is_named_and_leaves_the_bucket_empty(
    bucket: Any, host: OddHost, path: str, kind: type[SegmindError], said: str
) -> None:
    item = Item(f"s3://{bucket.name}/a", f"{host.url}/{path}", {"request_id": "r1", "keyname": "k", "index": 0})
    (error,) = store_all(SegmindHook(), [item], StoreOptions(limits=Limits(pauses=(0.01,))))
    assert isinstance(error, kind)
    assert re.search(said, str(error))
    assert error.request_id == "r1"
    assert names(bucket) == set()
    assert host.streamed < 64 * 2**20


def test_a_batch_is_stored_from_its_manifest_and_a_retry_fetches_what_is_missing(bucket: Any, host: OddHost) -> None:
    own = {"dag_id": "dag"}
    rows = [
        {
            **result(host, path, f"r{i}"),
            "index": i,
            "id": f"sku-{i}",
            "select_character": "woman",
            "seconds": 31.5,
            **own,
        }
        for i, path in enumerate(["good", "later", "good"])
    ]
    rows[0]["character_image"] = "https://shop.example/a.png?signature=secret"
    rows += [{"request_id": "r3", "index": 3, "status": "FAILED", "error": "no person", "outputs": [], **own}]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    manifest = f"s3://{bucket.name}/results.jsonl"
    bucket.put_object(Key="results.jsonl", Body=text.encode())
    host.pictures["/later"] = b"<html>not yet</html>"
    summary = {"results_uri": manifest, "total": 4, "completed": 3}
    with pytest.raises(SegmindError, match="1 of 3 pictures could not be stored"):
        store(host, bucket, results=summary, name="{row}-{id}")
    said = store(host, bucket, results=manifest, name="{row}-{id}", max_failures=1)
    assert (said["completed"], said["failed"], said["skipped"], said["without_picture"]) == (2, 1, 2, 1)
    host.pictures["/later"] = PICTURE
    said = store(host, bucket, results=summary, name="{row}-{id}")
    assert said == {
        "total": 3,
        "completed": 3,
        "failed": 0,
        "skipped": 2,
        "without_picture": 1,
        "stored_uri": f"{manifest}.stored.jsonl",
    }
    stored = [
        json.loads(line) for line in bucket.Object("results.jsonl.stored.jsonl").get()["Body"].read().splitlines()
    ]
    assert [row["uri"] for row in stored] == [f"s3://{bucket.name}/a/{i}-sku-{i}.png" for i in range(3)]
    sidecar = json.loads(bucket.Object("a/0-sku-0.json").get()["Body"].read())
    assert sidecar["inputs"] == {"character_image": "https://shop.example/a.png", "select_character": "woman"}
    assert (sidecar["seconds"], sidecar["cost"], sidecar["id"]) == (31.5, 0.2687, "sku-0")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "is empty"),
        (b'{"status": "FAILED", "error": "x"}\nnonsense\n', "line 2: it is no result of a swap"),
        (b'{"status": "COMPLETED"}\n', "line 1 is .* has no request_id and outputs"),
    ],
)
def test_a_manifest_that_is_none_is_refused_with_its_line(bucket: Any, host: OddHost, text: bytes, said: str) -> None:
    bucket.put_object(Key="m", Body=text)
    with pytest.raises(AirflowFailException, match=said):
        store(host, bucket, results=f"s3://{bucket.name}/m")
    assert host.seen == []


def test_private_photographs_become_urls(bucket: Any, emulator: Emulator) -> None:
    for key in ("a.png", "b.png"):
        bucket.put_object(Key=key, Body=PICTURE)
    uris = [f"s3://{bucket.name}/{key}" for key in ("a.png", "b.png")]
    uploaded = share(source=uris)
    assert len(uploaded) == len(set(uploaded)) == 2
    assert all(requests.get(url, timeout=10).content == PICTURE for url in uploaded)
    signed = share(source=uris[0], share="sign", expires=60)
    assert "Signature" in signed
    assert requests.get(signed, timeout=10).content == PICTURE
    assert share(source="https://shop.example/a.png") == "https://shop.example/a.png"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"source": ["good", "text"]}, "is not a PNG, JPEG or WebP picture"),
        ({"source": ["good", "nothing-there"]}, "cannot be read"),
        ({"source": 7}, "source is 7"),
        ({"share": "email"}, "share is 'email'"),
        ({"source": "file", "share": "sign"}, "cannot sign links"),
    ],
)
def test_what_cannot_be_shared_is_said_before_anything_is_uploaded(
    bucket: Any, emulator: Emulator, tmp_path: Path, given: dict[str, Any], said: str
) -> None:
    bucket.put_object(Key="good", Body=PICTURE)
    bucket.put_object(Key="text", Body=b"words")
    (tmp_path / "file").write_bytes(PICTURE)

    def uri(name: str) -> str:
        return str(tmp_path / name) if name == "file" else f"s3://{bucket.name}/{name}"

    source = given.get("source", "good")
    source = [uri(name) for name in source] if isinstance(source, list) else source
    source = uri(source) if isinstance(source, str) else source
    with pytest.raises(AirflowFailException, match=said):
        share(**{**given, "source": source})
    assert not emulator.requests


def share(**given: Any) -> Any:
    return ObjectStorageToSegmindOperator(task_id="share", **given).execute(context())
