"""A manifest is read whatever program wrote the file, and what is not read is named."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
import zlib

import pytest

from airflow_provider_segmind.api import texts
from airflow_provider_segmind.api.tables import MAX_LINE
from tests.api.manifests import P, read, refusal

TABLE = f"id,character_image,reference_character_image,select_character\r\na,https://example.com/1.jpg,{P},the café\r\n"
ONE = {"id": "a", "character_image": "https://example.com/1.jpg", "reference_character_image": P}
OTHER = {**ONE, "id": "b", "character_image": "https://example.com/2.jpg"}


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "secret")
    return file.getvalue()


ENCODED = {
    "UTF-8": TABLE.encode(),
    "Excel's CSV UTF-8": TABLE.encode("utf-8-sig"),
    "UTF-8 with two marks": "\ufeff".encode() + TABLE.encode("utf-8-sig"),
    "Excel's Unicode text": TABLE.replace(",", "\t").encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + TABLE.encode("utf-16-be"),
    "UTF-16 without a mark": TABLE.encode("utf-16-le"),
    "UTF-16, big end first, without a mark": TABLE.encode("utf-16-be"),
    "UTF-32": TABLE.encode("utf-32"),
    "UTF-32, big end first": b"\0\0\xfe\xff" + TABLE.encode("utf-32-be"),
    "Excel's CSV on Windows": TABLE.encode("cp1252"),
    "Excel's CSV in France": TABLE.replace(",", ";").encode("cp1252"),
}


@pytest.mark.parametrize("name", ENCODED)
@pytest.mark.parametrize(
    "where", ["s3://b/swaps.csv", "swaps.tsv", "s3://b/x.CSV?versionId=3.Lk", "x.txt", "x", "x.csv.gz"]
)
def test_each_encoding_is_read_whatever_the_files_name(name: str, where: str, caplog: pytest.LogCaptureFixture) -> None:
    data = ENCODED[name]
    (swap,) = read(gzip.compress(data) if where.endswith(".gz") else data, where)
    assert (swap.id, swap.select_character) == ("a", "the café")
    assert ("was read as cp1252" in caplog.text) == name.startswith(("Excel's CSV on", "Excel's CSV in"))


@pytest.mark.parametrize(
    "words",
    [
        "the café".encode() + "café".encode("cp1252"),  # two files joined
        "женщина".encode("cp1251"),
        "女性が座っている".encode("shift-jis"),
        "caf\x8e".encode("latin-1"),  # Excel's CSV on a Mac
        "γυναίκα".encode("cp1253"),
        "café".encode("cp850"),  # Excel's CSV (MS-DOS)
        "à côté".encode("mac-roman"),
        "mężczyzna".encode("cp1250"),  # Excel in Poland
        b"\x81\x8d\x8f",
        "the woman\x01\xe9".encode("latin-1"),
    ],
)
def test_what_is_neither_utf_8_nor_surely_of_windows_is_refused(words: bytes) -> None:
    said = refusal(TABLE.encode().replace("the café".encode(), words))
    assert "line 2: it is not UTF-8 (" in said
    assert "and no text in the encoding of Windows (cp1252) either: export it as CSV UTF-8" in said


@pytest.mark.parametrize(
    "words",
    ["l\x92été", "Zoë \x96 naïve", "« Ça »", "100 €", "Größe ÄÖ", "niño ½", "Tomáš", "¿Niña?", "5 m³", "col·legi"],
)
def test_words_of_western_europe_are_those_of_windows(words: str) -> None:
    words = words.replace("\x92", "\N{RIGHT SINGLE QUOTATION MARK}").replace("\x96", "\N{EN DASH}")
    assert read(TABLE.replace("the café", words).encode("cp1252"))[0].select_character == words


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (TABLE.encode("utf-16")[:-1], "it begins as UTF-16 and is broken at byte"),
        (TABLE.encode("utf-16-le")[:-1], "it begins as UTF-16 and is broken at byte"),
        (TABLE.encode("utf-8-sig") + b"\xff", "it begins as UTF-8 and is broken at byte"),
        (TABLE.encode() + b"\0", "it is a binary file, which is not read"),
    ],
)
def test_a_text_that_is_broken_is_named(data: bytes, said: str) -> None:
    assert said in refusal(data)


KINDS = {
    "an old Excel workbook (.xls), or one with a password": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 500,
    "a PDF document": b"%PDF-1.7\n%\xe2\xe3",
    "a document of a word processor (RTF)": b"{\\rtf1\\ansi secret}",
    "a picture or a film": b"\x89PNG\r\n\x1a\n",
    "an archive": b"7z\xbc\xaf\x27\x1c",
    "a Parquet file": b"PAR1\x15",
    "a SQLite database": b"SQLite format 3\0",
    "a binary Excel workbook (.xlsb)": zipped("[Content_Types].xml", "xl/workbook.bin"),
    "a Numbers document": zipped("Index/Document.iwa", "preview.jpg"),
    "an OpenDocument file (.ods)": zipped("mimetype", "content.xml"),
    "an Office document, but no workbook": zipped("[Content_Types].xml", "word/document.xml"),
    "a zip archive": zipped("swaps.csv"),
    "a web page": b"<!DOCTYPE html><html><body>secret</body></html>",
    "XML or HTML": b'<?xml version="1.0"?><Workbook>secret</Workbook>',
}
MORE = {
    "a picture or a film": [b"\xff\xd8\xff\xe0", b"GIF89a", b"II*\0", b"MM\0*", b"RIFF....WEBP", b"\0\0\0\x18ftypheic"],
    "an archive": [b"Rar!\x1a", b"BZh91AY&SY", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"a".ljust(257, b"\0") + b"ustar"],
    "a web page": [
        b"\xef\xbb\xbf \n<HTML>", b'<?xml version="1.0"?><!DOCTYPE HTML>', b"<!-- x --><head>", b"<table><tr>",
        "<html>".encode("utf-16"), b"<meta charset=utf-8>",
    ],
    "XML or HTML": [b"<div>", b"  <svg>", b"<!-- x -->"],
    "a Numbers document": [zipped("Index.zip")],
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["swaps.csv", "https://docs.google.com/d/x/edit", "s3://b/swaps.jsonl"])
def test_what_is_not_read_is_named_with_what_to_do(kind: str, where: str) -> None:
    for data in [KINDS[kind], *MORE.get(kind, [])]:
        said = refusal(data, where)
        assert f"the file: it is {kind}, which is not read. " in said
        assert "secret" not in said
        assert said.split("which is not read. ")[1].rstrip(".")


def test_what_to_do_with_a_sheet_is_said_in_the_words_of_its_program() -> None:
    assert "Publish the sheet as CSV (Google Sheets: File > Share > Publish to web" in refusal(KINDS["a web page"])
    assert "In Numbers: File > Export To > CSV" in refusal(KINDS["a Numbers document"])
    assert "In LibreOffice: File > Save As > Text CSV" in refusal(KINDS["an OpenDocument file (.ods)"])
    assert "Export it as CSV UTF-8." in refusal(KINDS["an old Excel workbook (.xls), or one with a password"])


@pytest.mark.parametrize(
    "data",
    [gzip.compress(TABLE.encode())[:-9], b"\x1f\x8bsecret", gzip.compress(b"x")[:12]],
    ids=["cut off", "no gzip", "only its beginning"],
)
def test_a_packed_file_that_is_broken_or_cut_off_is_named(data: bytes) -> None:
    assert "the file: the gzip file is broken or cut off: pack it again" in refusal(data)


def test_a_packed_file_of_several_parts_is_read_whole() -> None:
    half = len(TABLE) // 2
    assert len(read(gzip.compress(TABLE[:half].encode()) + gzip.compress(TABLE[half:].encode()))) == 1


def test_what_a_web_server_packs_is_unpacked_as_far_as_is_wanted() -> None:
    packed = zlib.compress(TABLE.encode())
    assert texts.unpack(packed, 10_000) == TABLE.encode()
    assert texts.unpack(packed, 10) == TABLE.encode()[:10]
    with pytest.raises(EOFError):
        texts.unpack(packed[:-5], 10_000)


def test_little_that_unpacks_to_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "MAX_MANIFEST", 2**20)
    assert "it is larger than 1 MiB when it is unpacked: split it" in refusal(gzip.compress(b" " * 2**22))


@pytest.mark.parametrize("data", [b"PK\x03\x04secret", zipped("xl/workbook.xml")[:-30]], ids=["no zip", "cut off"])
def test_a_zip_file_that_is_broken_is_named(data: bytes) -> None:
    assert "it is a broken or cut off zip file or Excel workbook: save it again" in refusal(data)


JSON = {
    "lines": json.dumps(ONE) + "\n" + json.dumps(OTHER) + "\n",
    "lines that two programs marked": "\ufeff" + json.dumps(ONE) + "\n\ufeff" + json.dumps(OTHER),
    "an array": json.dumps([ONE, OTHER]),
    "an array over several lines": json.dumps([ONE, OTHER], indent=2),
    "an array with a comma at its end": json.dumps([ONE, OTHER], indent=2).replace("}\n]", "},\n]"),
    "objects over several lines": json.dumps(ONE, indent=2) + "\n" + json.dumps(OTHER, indent=2),
    "lines of an old Mac": json.dumps(ONE) + "\r" + json.dumps(OTHER),
}


@pytest.mark.parametrize("name", JSON)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("where", ["a.jsonl", "a.json", "a.csv", "s3://b/a.ndjson?versionId=1"])
def test_json_is_read_in_each_form(name: str, encoding: str, where: str) -> None:
    assert [swap.id for swap in read(JSON[name].encode(encoding), where)] == ["a", "b"]


@pytest.mark.parametrize(("indent", "places"), [(None, ["line 1", "line 1"]), (0, ["line 2", "line 7"])])
def test_places_in_an_array_are_lines(indent: int | None, places: list[str]) -> None:
    assert [swap.place for swap in read(json.dumps([ONE, OTHER], indent=indent))] == places


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (json.dumps({"swaps": [ONE]}), "line 1: it is one object that holds a list: give the list alone"),
        (json.dumps({"count": 1, "items": [ONE]}, indent=1), "line 1: it is one object that holds a list"),
        (json.dumps({"data": [], "next": None}), "line 1: it is one object that holds a list"),
        (json.dumps({"a": 1}), "line 1: character_image is empty"),
        (json.dumps([ONE])[:-1], "line 1: the JSON array has no end: is the file cut off?"),
        (json.dumps([ONE, OTHER], indent=0)[:-40], "line 7: it is no JSON object ("),
        ("[", "the JSON array has no end"),
        (json.dumps([ONE]) + "\n" + json.dumps(OTHER), "line 2: something follows the JSON array"),
        (json.dumps([ONE, OTHER], indent=0).replace("},", "}"), "line 7: the JSON array is broken: a comma is missing"),
        ("[,]", "line 1: it is no JSON object"),
        ("[[1]]", "line 1: it is [1], not an object with character_image"),
        ("[" * 99999, "line 1: it is no JSON object"),
        ("[" + "[" * 99999, "line 1: it is no JSON object"),
        (json.dumps([ONE, {"a": "x" * MAX_LINE}], indent=0), "characters, at most"),
        ("[]", "there is nothing to swap in it"),
        (b'{"id": "caf\xe9"}\n', "line 1: it is not UTF-8 (invalid continuation byte at byte 11)"),
        (b'{}\r{"id": "caf\xe9"}', "line 2: it is not UTF-8"),
    ],
)
def test_what_is_wrong_with_json_is_named(data: str | bytes, said: str) -> None:
    assert said in refusal(data, "a.json")


def test_a_text_with_the_name_of_json_is_json() -> None:
    assert "line 1: it is no JSON object (Expecting value)" in refusal("secret, words", "a.jsonl")
