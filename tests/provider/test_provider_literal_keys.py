"""A key in a bucket and the name of a file are literal, from the reading to the sidecar, the asset and the message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from airflow.sdk import AssetAlias
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.batch.checks import is_many
from airflow_provider_segmind.files.objects import input_path, read_up_to, size_of, storage_path
from airflow_provider_segmind.observability.assets import Stored, announce
from airflow_provider_segmind.storage.store import check_name
from airflow_provider_segmind.transfers.object_storage import SegmindToObjectStorageOperator
from tests.provider.odd_host import PICTURE, OddHost, own_host
from tests.provider.running import context
from tests.provider.s3 import s3_bucket

pytestmark = pytest.mark.filterwarnings("default")  # of boto and moto, which are not ours

BROWSERS_KEEP = "/!$&'()*+,;=:@"
NAMES = [
    *("a#1.jpg", "b?x.jpg", "100%25 off.jpg", "a b.jpg", "a+b.jpg", "ñ ж 写真.jpg", "#.jpg", "50% [x].jpg"),
    *("photo.jpg?v=1699999999", "a;b=1&c.jpg", "%20.jpg", "(1) copy.jpg", "a:b.jpg", "s3:x.jpg"),
]
CHAINS = ["front::2.jpg", "sku::1::front.jpg", ":::.jpg", "a::s3:x.jpg", "::.jpg"]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with s3_bucket(monkeypatch) as found:
        yield found


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[OddHost]:
    with own_host(monkeypatch) as found:
        yield found


@pytest.mark.parametrize("name", NAMES)
def test_a_key_is_read_as_it_is_named(bucket: Any, name: str) -> None:
    bucket.put_object(Key=f"in/{name}", Body=name.encode())
    uri = f"s3://{bucket.name}/in/{name}"
    assert read_up_to(100, "character_image", uri) == name.encode()
    assert size_of("character_image", uri) == len(name.encode())
    with pytest.raises(InvalidRequestError) as error:
        read_up_to(1, "character_image", f"s3://{bucket.name}/gone/{name}")
    assert repr(f"s3://{bucket.name}/gone/{name}") in str(error.value)


@pytest.mark.parametrize("name", [*CHAINS, "a\nb.jpg", "a\tb.jpg", "a\rb.jpg", "a\0b.jpg"])
def test_a_key_that_would_lead_to_another_object_is_refused(bucket: Any, name: str) -> None:
    for other in ("front", "sku", "a", "ab.jpg", ""):
        bucket.put_object(Key=f"in/{other}", Body=b"another")
    for work in (lambda uri: read_up_to(100, "character_image", uri), lambda uri: storage_path("destination", uri)):
        with pytest.raises(InvalidRequestError, match=r"two colons \(::\)|line break, a tab or a NUL") as error:
            work(f"s3://{bucket.name}/in/{name}")
        assert str(error.value).endswith("name.")


@pytest.mark.parametrize("name", ["a\nb.jpg", "a\tb.jpg", "a\0b.jpg"])
def test_no_other_file_is_read_for_one_with_a_control_character(tmp_path: Path, name: str) -> None:
    (tmp_path / "ab.jpg").write_bytes(b"another")
    for uri in (f"{tmp_path}/{name}", f"file://{tmp_path}/{name}"):
        with pytest.raises(InvalidRequestError, match="line break, a tab or a NUL"):
            read_up_to(9, "character_image", uri)


def test_no_result_is_stored_where_two_colons_cut_its_name_off() -> None:
    for name in ("{id}::{row}", "a::b/{id}"):
        with pytest.raises(InvalidRequestError, match="two colons"):
            check_name(name)
    check_name("{id}:{row}")
    for uri in ("file:///d/a::b", "s3://b/a::b", "s3::file:///d"):
        with pytest.raises(InvalidRequestError, match="two colons"):
            storage_path("destination", uri)
    assert storage_path("destination", "/d/a::b").path == "/d/a::b"


@pytest.mark.parametrize("name", [*NAMES, *CHAINS])
@pytest.mark.parametrize("roots", [False, True])
def test_a_file_is_read_by_its_path_its_name_and_its_uri(
    tmp_path: Path, name: str, roots: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if roots:
        monkeypatch.setenv("AIRFLOW__SEGMIND__INPUT_ROOTS", str(tmp_path))
    path = tmp_path / name
    path.write_bytes(name.encode())
    browsers = f"file://{quote(str(path), safe=BROWSERS_KEEP)}"
    for uri in (str(path), f"file://{path}", f"local://{path}", path.as_uri(), browsers):
        assert read_up_to(100, "character_image", uri) == name.encode(), uri


def test_a_file_that_is_literally_named_so_is_preferred(tmp_path: Path) -> None:
    (tmp_path / "a b.jpg").write_bytes(b"blank")
    (tmp_path / "a%20b.jpg").write_bytes(b"literal")
    assert read_up_to(9, "character_image", f"file://{tmp_path}/a%20b.jpg") == b"literal"
    assert read_up_to(9, "character_image", f"file://{tmp_path}/a b.jpg") == b"blank"
    assert read_up_to(9, "character_image", f"{tmp_path}/a%20b.jpg") == b"literal"
    (tmp_path / "a%20b.jpg").unlink()
    assert read_up_to(9, "character_image", f"file://{tmp_path}/a%20b.jpg") == b"blank"
    with pytest.raises(InvalidRequestError, match="a%20b"):
        read_up_to(9, "character_image", f"{tmp_path}/a%20b.jpg")  # a path is not decoded


@pytest.mark.parametrize("uri", ["file:///%65tc/passwd", "file:///etc%2Fpasswd", "file:///tmp/%2e%2e/etc/passwd"])
def test_no_encoded_uri_leads_into_the_system_or_out_of_a_folder(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for roots in ("", str(tmp_path)):
        monkeypatch.setenv("AIRFLOW__SEGMIND__INPUT_ROOTS", roots)
        with pytest.raises(InvalidRequestError):
            read_up_to(1, "character_image", uri)


def test_a_folder_of_a_bucket_holds_what_its_literal_name_says(monkeypatch: pytest.MonkeyPatch, bucket: Any) -> None:
    monkeypatch.setenv("AIRFLOW__SEGMIND__INPUT_ROOTS", f"s3://{bucket.name}/in#1, s3://{bucket.name}/a?b")
    for key in ("in#1/a.jpg", "a?b/x.jpg", "in#1/what?.jpg"):
        assert input_path("source", f"s3://{bucket.name}/{key}").path == f"{bucket.name}/{key}"
    for key in ("in/a.jpg", "in#2/a.jpg", "a?c/x.jpg", "a"):
        with pytest.raises(InvalidRequestError, match="input_roots"):
            input_path("source", f"s3://{bucket.name}/{key}")


@pytest.mark.parametrize("folder", ["out#1", "what?", "100%25 off", "ж a+b"])
def test_a_result_is_stored_found_again_and_named_by_its_literal_key(bucket: Any, host: OddHost, folder: str) -> None:
    row = {
        "request_id": "r1",
        "status": "COMPLETED",
        "outputs": [{"keyname": "k", "type": "image", "url": f"{host.url}/good?sig=5ecret"}],
        "character_image": "s3://shop/a#1.jpg",
        "reference_character_image": "/d/b?x.jpg",
    }

    def store() -> Any:
        task = SegmindToObjectStorageOperator(
            task_id="s", results=row, destination=f"s3://{bucket.name}/{folder}", name="{request_id}"
        )
        return task.execute(context()), task.get_openlineage_facets_on_complete(None)

    made, lineage = store()
    assert made["uri"] == f"s3://{bucket.name}/{folder}/r1.png"
    assert [dataset.name for dataset in lineage.outputs] == [f"{folder}/r1.png"]
    assert {found.key for found in bucket.objects.all()} == {
        f"{folder}/r1{end}" for end in (".png", ".thumb.webp", ".json")
    }
    said = json.loads(bucket.Object(f"{folder}/r1.json").get()["Body"].read())
    assert (said["uri"], said["source"]) == (made["uri"], f"{host.url}/good")
    assert said["inputs"] == {"character_image": "s3://shop/a#1.jpg", "reference_character_image": "/d/b?x.jpg"}
    assert store()[0]["files"][0]["skipped"]
    assert read_up_to(len(PICTURE) * 2, "results", made["uri"])[:8] == PICTURE[:8]


@pytest.mark.parametrize(
    ("uri", "asset"),
    [
        ("s3://shop/a#1.png", "s3://shop/a%231.png"),
        ("s3://shop/b?x.png", "s3://shop/b%3Fx.png"),
        ("s3://shop/100%25 off.png", "s3://shop/100%25 off.png"),
        ("file:///d/a#1.png", "file:///d/a%231.png"),
        ("/d/what?.png", "file:///d/what%3F.png"),
    ],
)
def test_an_assets_event_is_that_of_one_file_and_says_its_literal_name(uri: str, asset: str) -> None:
    alias, context = AssetAlias("pictures"), {"outlet_events": OutletEventAccessors()}
    context["task"] = SimpleNamespace(outlets=[alias])  # type: ignore[assignment]
    announce(context, [Stored(uri, {"cost": 1})])  # type: ignore[arg-type]
    events = context["outlet_events"][alias].asset_alias_events
    added = {event.dest_asset_key.uri: event.extra for event in events}
    assert list(added) == [asset]
    literal = uri if "://" in uri else f"file://{uri}"
    assert added[asset] == ({"cost": 1} if asset == literal else {"uri": literal, "cost": 1})


def test_a_manifest_in_a_folder_with_a_sign_is_a_manifest() -> None:
    for uri in ("s3://shop/run#7/results.jsonl", "s3://shop/what?/results.jsonl", "/d/a#b?/results.ndjson"):
        assert is_many(uri)
    for uri in ("s3://shop/results.jsonl#1.png", "https://shop.example/a.png?of=results.jsonl"):
        assert not is_many(uri)
