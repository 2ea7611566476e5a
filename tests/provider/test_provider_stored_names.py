"""Under which name a result is stored: readable in each script, its own, storable, and the same on a retry."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_segmind.api.models import Output
from airflow_provider_segmind.storage.deliveries import Delivery
from airflow_provider_segmind.storage.store import MAX_PART, StoragePlan, name_of
from airflow_provider_segmind.transfers.object_storage import SegmindToObjectStorageOperator
from tests.provider.odd_host import OddHost, own_host
from tests.provider.running import context


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[OddHost]:
    with own_host(monkeypatch) as found:
        yield found


def names(*ids: str, name: str = "{id}", destination: str = "/out") -> list[str]:
    """Return the names of a batch with these ids."""
    jobs = [
        Delivery(f"r{row}", row, (Output("k", "image", "https://a.example/1.png"),), {"id": said})
        for row, said in enumerate(ids)
    ]
    return [item.base.removeprefix(f"{destination}/") for item in StoragePlan(destination, name, {}, {}).items(jobs)]


def test_a_picture_that_would_have_the_name_of_anothers_thumbnail_gets_another_one() -> None:
    first, second = names("x", "x.thumb")
    assert first == "x"
    assert re.fullmatch(r"x\.thumb-[0-9a-f]{8}", second)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        # As version 0.1 named them, whatever that was: what is stored must be found again.
        ("sku-1_a.b+c=d", "sku-1_a.b+c=d"),
        ("sku 1/2", "sku-1-2"),
        ("a--b", "a--b"),
        ("..hidden", "hidden"),
        ("#1?", "-1-"),
        ("x" * 150, "x" * 100),
        # New.
        ("женщина 1", "женщина-1"),
        ("Müller Sofa", "Müller-Sofa"),
        ("सोफ़ा", unicodedata.normalize("NFC", "सोफ़ा")),
        ("写真１", "写真１"),
        ("เก้าอี้", "เก้าอี้"),
        ("e\u0301", "\u00e9"),
    ],
)
def test_a_name_keeps_letters_and_digits_of_all_scripts(said: str, name: str) -> None:
    assert name_of("{id}", {"id": said}) == name


@pytest.mark.parametrize(
    "ids",
    [
        ("женщина 1", "мужчина 1"),
        ("👗 1", "👠 1"),
        ("№1", "™1", "1"),
        ("写真/1", "写真?1", "写真 1"),
        ("sku 1", "sku/1", "sku-1", "sku#1"),
        ("A1", "a1"),
        ("é", "e\u0301"),
        ("straße", "STRASSE"),
        ("…", "—", "..."),
        ("x" * 120, "x" * 119 + "y"),
        ("ж" * 300, "ж" * 299 + "я"),
        ("\ud800", "\ud801"),
        ("a\u202eb", "a\u202db", "ab"),
        ("nul", "NUL", "con.1", "aux"),
    ],
)
@pytest.mark.parametrize("destination", ["/out", "s3://bucket/out"])
def test_two_ids_never_share_a_name(ids: tuple[str, ...], destination: str) -> None:
    made = names(*ids, destination=destination)
    assert len({name.casefold() for name in made}) == len(ids)
    assert names(*reversed(ids), destination=destination) == made[::-1], "a name does not depend on the order"
    for said, name in zip(ids, made, strict=True):
        if said.isascii() and name == said:
            assert made.count(name) == 1


def test_of_ids_that_share_a_name_the_one_that_has_it_literally_keeps_it() -> None:
    first, second, third = names("sku 1", "sku-1", "sku/1")
    assert second == "sku-1"
    assert first.startswith("sku-1-")
    assert third.startswith("sku-1-")
    assert names("sku 1") == ["sku-1"], "alone it is named as ever"


@given(st.lists(st.text(min_size=1, max_size=400), min_size=1, max_size=4, unique=True))
def test_each_name_can_be_stored(ids: list[str]) -> None:
    made = names(*ids, name="looks/{id}")
    assert len({name.casefold() for name in made}) == len(ids)
    for name in made:
        folder, last = name.split("/")
        assert folder == "looks"
        assert not last.startswith(".")
        assert len(last.encode()) <= MAX_PART
        assert last.isprintable()
        assert last.partition(".")[0].casefold() not in ("con", "prn", "aux", "nul", "com1", "lpt9")


@pytest.mark.parametrize("said", ["ж" * 300, "写" * 100, "é" * 100, "สี" * 90, "x" * 100])
def test_the_longest_name_is_stored_with_its_sidecar_and_thumbnail(host: OddHost, tmp_path: Path, said: str) -> None:
    row = {"request_id": "r1", "status": "COMPLETED", "id": said}
    row |= {"outputs": [{"keyname": said, "type": "image", "url": f"{host.url}/good"}]}

    def store() -> Any:
        task = SegmindToObjectStorageOperator(
            task_id="s", results=row, destination=str(tmp_path), name="{id}-{keyname}-{request_id}"
        )
        return task.execute(context())

    (entry,) = store()["files"]
    assert len(list(tmp_path.iterdir())) == 3
    assert json.loads(Path(entry["sidecar"].removeprefix("file://")).read_text())["id"] == said
    assert store()["files"][0]["skipped"]


@pytest.mark.parametrize("said", ["写" * 100, "ж" * 300, "é" * 100, "🙂" * 100, "สี" * 90])
def test_a_name_is_bounded_in_bytes_in_a_bucket_too(said: str) -> None:
    assert len(name_of("{id}-{keyname}", {"id": said, "keyname": said}).encode()) <= MAX_PART


def test_a_long_name_that_a_bucket_may_have_stays() -> None:
    values = {"dag_id": "d" * 100, "run_id": "r" * 100, "id": "i" * 100}
    template = "{dag_id}-{run_id}-{id}"
    assert name_of(template, values) == template.format(**values)
    assert len(name_of(template, values, local=True)) <= MAX_PART


def test_the_sidecar_says_what_a_name_stands_for(host: OddHost, tmp_path: Path) -> None:
    rows = [
        {
            "request_id": f"r{number}",
            "status": "COMPLETED",
            "id": said,
            "outputs": [{"keyname": "k", "type": "image", "url": f"{host.url}/good"}],
        }
        for number, said in enumerate(["женщина 1", "мужчина 1", "sku-1"])
    ]
    task = SegmindToObjectStorageOperator(task_id="s", results=rows, destination=str(tmp_path), name="{id}")
    task.execute(context())
    assert {path.name for path in tmp_path.glob("*.png")} == {"женщина-1.png", "мужчина-1.png", "sku-1.png"}
    assert json.loads((tmp_path / "женщина-1.json").read_text())["named_for"] == {"id": "женщина 1"}
    assert "named_for" not in json.loads((tmp_path / "sku-1.json").read_text())
