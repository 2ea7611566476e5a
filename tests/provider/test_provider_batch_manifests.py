"""Manifests as people have them, given to the real operator: read, or refused with words before the first charge."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_provider_segmind.api.errors import SegmindError, TransportError
from airflow_provider_segmind.batch.files import read_lines
from airflow_provider_segmind.batch.plan import _read
from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.emulator import Emulator
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.operators.body_swap import SubmitBodySwapBatchOperator
from tests.docs.pages import ROOT
from tests.provider.batches import PNG, RUNNING, Batch, at_once, charged, swaps
from tests.provider.odd_host import OddHost, own_host
from tests.provider.test_provider_decorator import Tried

__all__ = ["at_once"]

NAMES = ["id", "character_image", "reference_character_image", "select_character"]


def table(emulator: Emulator, delimiter: str = ",", words: str = "the café") -> str:
    """Return a table of one swap, as a spreadsheet exports it."""
    row = ["007", emulator.sample("scene"), emulator.sample("person"), words]
    return "".join(delimiter.join(cells) + "\r\n" for cells in (NAMES, row))


def workbook(emulator: Emulator) -> bytes:
    """Return a workbook of one swap."""
    openpyxl = pytest.importorskip("openpyxl")
    book, file = openpyxl.Workbook(), io.BytesIO()
    for row in (NAMES, ["007", emulator.sample("scene"), emulator.sample("person"), "the café"]):
        book.active.append(row)
    book.save(file)
    return file.getvalue()


def objects(emulator: Emulator, **changes: Any) -> list[dict[str, Any]]:
    """Return one swap as an object."""
    (swap,) = swaps(emulator, 1)
    return [{**swap, "id": "007", "select_character": "the café", **changes}]


def zipped(name: str) -> bytes:
    """Return a zip file of a program."""
    import zipfile

    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, "x")
    return file.getvalue()


OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# What docs/how-to/batches.md lists: the file's name, its bytes, and what becomes of it, or words of the error.
CASES: dict[str, tuple[str, Any, str]] = {
    "`CSV UTF-8`": ("a.csv", lambda e: table(e).encode("utf-8-sig"), "read"),
    "`CSV` (also with `;`; the log says so)": (
        "a.csv",
        lambda e: table(e, ";").encode("cp1252"),
        "read, and the log says so",
    ),
    "`Unicode text` (UTF-16, tabs)": ("a.txt", lambda e: table(e, "\t").encode("utf-16"), "read"),
    "a first line `sep=;`": ("a.csv", lambda e: b"sep=;\r\n" + table(e, ";").encode(), "read"),
    "CSV, TSV or a published URL of Google Sheets": ("a.tsv", lambda e: table(e, "\t").encode(), "read"),
    "CSV of Numbers and LibreOffice": ("a.csv", lambda e: table(e).replace("\r\n", "\n").encode(), "read"),
    "line breaks in a cell": ("a.csv", lambda e: table(e, words='"the\ncafé"').encode(), "read"),
    "`.csv.gz`": ("a.csv.gz", lambda e: gzip.compress(table(e).encode()), "read"),
    "JSON Lines, a JSON array": ("a.json", lambda e: json.dumps(objects(e)).encode(), "read"),
    "of an Excel workbook (`.xlsx`) the first sheet": ("a.xlsx", workbook, "read"),
    "one JSON object with a list": (
        "a.json",
        lambda e: json.dumps({"swaps": objects(e)}).encode(),
        "give the list alone",
    ),
    "an old Excel workbook (`.xls`)": (
        "a.xls",
        lambda _: b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an old Excel workbook (.xls)",
    ),
    "`.ods`": ("a.ods", lambda _: zipped("content.xml"), "an OpenDocument file (.ods)"),
    "`.numbers`": ("a.numbers", lambda _: zipped("Index/Document.iwa"), "a Numbers document"),
    "another `.zip`": ("a.zip", lambda _: zipped("a.csv"), "a zip archive"),
    "PDF": ("a.pdf", lambda _: b"%PDF-1.7", "a PDF document"),
    "RTF": ("a.csv", lambda _: b"{\\rtf1}", "a document of a word processor (RTF)"),
    "a picture": ("a.csv", lambda _: PNG, "a picture or a film"),
    "a web page": ("a.csv", lambda _: b"<!doctype html><html>", "Publish the sheet as CSV"),
    "other encodings": ("a.csv", lambda e: table(e, words="женщина").encode("cp1251"), "it is not UTF-8"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_the_docs_list_as_read_or_refused_is_what_the_operator_does(
    name: str, emulator: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    page = (ROOT / "docs" / "how-to" / "batches.md").read_text()
    file, make, outcome = CASES[name]
    is_read = outcome.startswith("read")
    listed = re.search(r"\* \*\*Read:\*\* (.*)\n\* \*\*Refused\*\*, (.*?)\n\n", page, re.DOTALL)
    assert listed is not None
    assert name in " ".join(listed[1 if is_read else 2].split())
    manifest = tmp_path / file
    manifest.write_bytes(make(emulator))
    task = Batch(emulator, tmp_path, cls=SubmitBodySwapBatchOperator, swaps=str(manifest))
    if is_read:
        assert len(task.attempt()) == 1
        assert re.sub(r"\s", " ", emulator.charges[0].inputs["select_character"]) == "the café"
        assert ("was read as cp1252" in caplog.text) == ("log" in outcome)
    else:
        with pytest.raises(AirflowFailException) as refused:
            task.attempt()
        assert outcome in str(refused.value)
        assert not emulator.charges


def test_other_columns_are_in_the_results(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=0)
    manifest = tmp_path / "shop.csv"
    scene, person = emulator.sample("scene"), emulator.sample("person")
    manifest.write_text(f'Handle,Image Src,Model,"Body\n(HTML)"\nmug,{scene},{person},"<p>\n</p>"\n')
    columns = {"Image Src": "character_image", "Model": "reference_character_image"}
    batch = Batch(emulator, tmp_path, swaps=str(manifest), columns=columns)
    assert batch.attempt()["completed"] == 1
    (row,) = batch.rows()
    assert row["extra"] == {"Handle": "mug", "Body\n(HTML)": "<p>\n</p>"}
    assert row["place"] == "line 3"
    assert set(emulator.charges[0].inputs) == {"character_image", "reference_character_image", "select_character"}


def test_a_decorated_function_may_name_its_columns(emulator: Emulator, tmp_path: Path) -> None:
    given = [{"photo": emulator.sample("scene"), "reference_character_image": emulator.sample("person")}]
    results = str(tmp_path / "results.jsonl")
    tried = Tried(lambda: given, results_uri=results, columns={"photo": "character_image"})
    assert tried.attempt()["completed"] == 1


def test_takes_are_ordered_and_a_retry_orders_only_those_that_are_missing(emulator: Emulator, tmp_path: Path) -> None:
    emulator.set(job_seconds=0)
    picture = tmp_path / "scene.png"
    picture.write_bytes(PNG)
    given = [{**swap, "character_image": str(picture), "takes": 3} for swap in swaps(emulator, 2)]
    batch = Batch(emulator, tmp_path, swaps=given)
    assert batch.attempt()["completed"] == 6
    assert charged(emulator) == [3, 3]
    rows = batch.rows()
    assert [row["id"] for row in rows] == ["0-1", "0-2", "0-3", "1-1", "1-2", "1-3"]
    assert len({row["request_id"] for row in rows}) == 6
    batch.attempt()
    assert charged(emulator) == [3, 3], "a retry takes the results that are there"
    batch.options["swaps"] = [{**swap, "takes": 4} for swap in given]
    with pytest.raises(AirflowFailException, match="ordered another batch"):
        batch.attempt()
    assert charged(emulator) == [3, 3]


@pytest.mark.parametrize("writes", range(1, 20, 3))
def test_whenever_the_process_dies_takes_are_charged_as_often_as_was_asked_for(
    emulator: Emulator, tmp_path: Path, writes: int
) -> None:
    emulator.set(job_seconds=RUNNING)
    batch = Batch(emulator, tmp_path, swaps=[{**swap, "takes": 3} for swap in swaps(emulator, 2)])
    assert batch.store is not None
    batch.store.broken_after = writes
    with contextlib.suppress(AirflowFailException, SegmindError, RuntimeError):
        batch.attempt()
    batch.store.broken_after = None
    with contextlib.suppress(AirflowFailException, SegmindError):  # where it is not known what became of an order
        batch.attempt()
    assert max(charged(emulator)) <= 3


TEXTS = ["1e5", "0x10", "1,2", "007", "1_0", "None", "[1]", "2026-11-03"]


@pytest.mark.parametrize("native", [True, False])
def test_ids_stay_texts_however_airflow_renders(native: bool, emulator: Emulator) -> None:
    with DAG("native", schedule=None, render_template_as_native_obj=native, params={"label": "1e6"}):
        rows = [{**swap, "id": text} for swap, text in zip(swaps(emulator, len(TEXTS)), TEXTS, strict=True)]
        rows.append({**rows[0], "id": "{{ params.label }}", "select_character": "{{ 7 }}"})
        task = SubmitBodySwapBatchOperator(task_id="swaps", swaps=rows)
    task.render_template_fields({"params": {"label": "1e6"}})  # type: ignore[typeddict-item]
    read = _read(SegmindHook(), task.swaps, "woman", None)
    assert [swap.id for swap in read] == [*TEXTS, "1e6"]
    assert read[-1].select_character == "7"


def test_a_template_that_is_the_whole_list_is_still_a_list(emulator: Emulator) -> None:
    given = swaps(emulator, 2)
    with DAG("native", schedule=None, render_template_as_native_obj=True):
        task = SubmitBodySwapBatchOperator(task_id="swaps", swaps="{{ given }}")
        one = SubmitBodySwapBatchOperator(task_id="one", swaps=["{{ given[0] }}"])
    for each, count in ((task, 2), (one, 1)):
        each.render_template_fields({"given": given})  # type: ignore[typeddict-unknown-key]
        assert len(_read(SegmindHook(), each.swaps, "woman", None)) == count
    alone = SubmitBodySwapBatchOperator(task_id="alone", swaps=[{**given[0], "id": "1e5"}])
    alone.render_template_as_native_obj = True
    alone.render_template_fields({})  # with no DAG
    assert alone.swaps == [{**given[0], "id": "1e5"}]


def test_a_mark_before_a_manifest_of_results_hides_no_row(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text('{"index": 0}\nx\n', encoding="utf-8-sig")
    rows = list(read_lines("results", str(tmp_path / "results.jsonl")))
    assert [(number, row) for number, _, row in rows] == [(1, {"index": 0}), (2, None)]


class TestPublished:
    """A manifest behind a URL, here on the connection's own host."""

    TABLE = f"character_image,reference_character_image\n{'https://example.com/1.jpg'},https://example.com/2.jpg\n"

    @pytest.fixture
    def host(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[OddHost]:
        with own_host(monkeypatch) as running:
            running.pictures["/pub"] = self.TABLE.encode()
            yield running

    def read(self, url: str) -> list[Any]:
        return _read(SegmindHook(), url, "woman", None)

    def test_it_is_read_without_the_key(self, host: OddHost) -> None:
        assert len(self.read(f"{host.url}/pub?output=csv&signature=secret")) == 1
        (headers,) = [headers for _, headers in host.seen]
        assert not {"x-api-key", "authorization"} & headers.keys()

    def test_a_redirect_is_followed(self, host: OddHost) -> None:
        host.redirect = "/pub"
        assert len(self.read(f"{host.url}/moved")) == 1

    @pytest.mark.parametrize(
        ("path", "error", "words"),
        [
            ("html", ValueError, "it is a web page, which is not read. Publish the sheet as CSV"),
            ("gone", ValueError, "is not there: check the URL, and that it is still published"),
            ("private", ValueError, "may not be read: publish it for all who have the URL"),
            ("loop", ValueError, "more than 10 redirects"),
            ("endless", ValueError, "is larger than 1 MiB: split it"),
            ("cut", TransportError, "was cut off.*costs nothing"),
            ("broken", TransportError, "an error that can pass. Nothing was ordered now; a retry fetches it again"),
            ("drip", TransportError, "not there whole within 0.5 s"),
        ],
    )
    def test_what_cannot_be_fetched_is_named_in_the_words_of_an_input(
        self, host: OddHost, monkeypatch: pytest.MonkeyPatch, path: str, error: type[Exception], words: str
    ) -> None:
        monkeypatch.setattr("airflow_provider_segmind.batch.published.MAX_MANIFEST", 2**20)
        if path == "drip":
            monkeypatch.setattr("airflow_provider_segmind.batch.published.SECONDS", 0.5)
        with pytest.raises(error, match=words) as raised:
            self.read(f"{host.url}/{path}?signature=hidden")
        assert "hidden" not in str(raised.value)
        assert "paid" not in str(raised.value)

    @pytest.mark.parametrize(
        "url", ["http://example.com/a.csv", "https://127.0.0.1/a.csv", "https://10.0.0.1/a.csv", "https://[::1]/a.csv"]
    )
    def test_only_public_hosts_are_asked(self, host: OddHost, url: str) -> None:
        with pytest.raises(ValueError, match=r"is not fetched: .*(must be an https:// URL|which is not public)"):
            self.read(url)
        host.redirect = url
        with pytest.raises(ValueError, match=r"is not fetched: .*(must be an https:// URL|which is not public)"):
            self.read(f"{host.url}/moved")
