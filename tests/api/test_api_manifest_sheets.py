"""The rows of a workbook are those of its first sheet that is seen, as a person sees them."""

from __future__ import annotations

import builtins
import io
import json
import zipfile
from datetime import date, datetime, time
from typing import Any

import pytest

from tests.api.manifests import P, read, refusal


def workbook(
    *rows: list[Any], styles: dict[str, str] | None = None, merged: tuple[str, ...] = (), **changes: Any
) -> bytes:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    for row in rows:
        sheet.append(row)
    for cell, style in (styles or {}).items():
        sheet[cell].number_format = style
    for cells in merged:
        sheet.merge_cells(cells)
    for name in changes.get("more", ()):
        book.create_sheet(name, changes.get("at")).sheet_state = changes.get("state", "visible")
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


HEADER = ["id", "character_image", "reference_character_image", "select_character"]


def line(label: object, number: int, words: object = None) -> list[Any]:
    return [label, f"https://example.com/{number}.jpg", P, words]


def test_a_workbook_is_read_with_its_rows_and_blank_ones_left_out() -> None:
    data = workbook([], HEADER, line("a", 1), [], [None, " "], line("b", 2, "the\nman"), [], [])
    for where in ("s3://b/swaps.xlsx", "swaps.csv", "https://docs.google.com/pub?output=xlsx"):
        swaps = read(data, where)
        assert [(swap.place, swap.id, swap.select_character) for swap in swaps] == [
            ("row 3", "a", "woman"),
            ("row 6", "b", "the\nman"),
        ]


@pytest.mark.parametrize(
    ("value", "style", "shown"),
    [
        ("1e5", "General", "1e5"),
        ("007", "@", "007"),
        (7, "General", "7"),
        (7.0, "General", "7"),
        (7, "000", "007"),
        (7, "00000", "00007"),
        (1.5, "General", "1.5"),
        (4006381333931, "General", "4006381333931"),
        (4006381333931, "0", "4006381333931"),
        (True, "General", "TRUE"),
        (date(2026, 11, 3), "yyyy-mm-dd", "2026-11-03"),
        (date(2026, 11, 3), "d.m.yy", "3.11.26"),
        (date(2026, 11, 3), "dd/mm/yyyy;@", "03/11/2026"),
        (datetime(2026, 11, 3, 4, 5, 6), "yyyy-mm-dd h:mm:ss", "2026-11-03 4:05:06"),
        (datetime(2026, 11, 3), "[$-409]dd\\-mm\\-yyyy", "03-11-2026"),
    ],
)
def test_an_id_in_a_workbook_is_what_excel_shows(value: object, style: str, shown: str) -> None:
    assert read(workbook(HEADER, line(value, 1), styles={"A2": style}))[0].id == shown


@pytest.mark.parametrize(
    ("value", "style"),
    [
        (1234, "#,##0"),
        (0.5, "0%"),
        (1234567890123456, "General"),
        (0.1234567890123, "General"),
        (-7, "000"),
        (date(2026, 3, 1), "mm-dd-yy"),  # as each computer has it
        (date(2026, 3, 1), "d-mmm"),  # what Excel makes of 1-3
        (datetime(2026, 3, 1, 4, 5), "h:mm"),
        (time(4, 5), "h:mm"),
    ],
)
def test_an_id_of_which_it_is_not_known_how_excel_shows_it_is_refused(value: object, style: str) -> None:
    said = refusal(workbook(HEADER, line(value, 1), styles={"A2": style}))
    assert "row 2: id is no text but a " in said
    assert "in Excel: format the column as Text" in said
    (swap,) = read(workbook([*HEADER, "note"], [*line("a", 1), value], styles={"E2": style}))
    assert json.loads(swap.extra)["note"], "where it is only kept, it does no harm"


def test_cells_that_are_merged_downwards_count_in_each_row() -> None:
    rows = [HEADER, line("a", 1, "the man"), line("b", 2), line("c", 3), line("d", 4)]
    swaps = read(workbook(*rows, merged=("D2:D4", "C2:C5", "F2:G9", "A7:D7")))
    assert [swap.select_character for swap in swaps] == ["the man", "the man", "the man", "woman"]
    assert {swap.reference_character_image for swap in swaps} == {P}


@pytest.mark.parametrize("cells", ["C2:D2", "B2:D2", "A2:B3"])
def test_cells_that_are_merged_across_columns_are_refused(cells: str) -> None:
    assert "row 2: cells are merged across columns: unmerge them" in refusal(
        workbook(HEADER, line("a", 1), merged=(cells,))
    )


def test_a_merged_header_over_columns_without_a_name_is_read() -> None:
    assert len(read(workbook([*HEADER, None], line("a", 1), merged=("D1:E1",)))) == 1


def test_only_the_first_sheet_that_is_seen_is_read_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    assert len(read(workbook(HEADER, line("a", 1), more=["notes"]))) == 1
    assert "The workbook has 2 visible sheets: only the first is read." in caplog.text
    assert len(read(workbook(HEADER, line("a", 1), more=["lists"], at=0, state="hidden"))) == 1
    assert "row 1: the header has no column character_image" in refusal(workbook(["Look", "Model"], ["a", "b"]))
    assert "there is nothing to swap in it" in refusal(workbook())


@pytest.mark.parametrize("formula", ['="the " & "man"', "=VLOOKUP(A2,notes!A:B,2,0)", "=" + "A1&" * 2000 + "A1"])
def test_a_formula_that_no_program_has_calculated_is_refused_and_its_result_is_read(formula: str) -> None:
    data = workbook(HEADER, line("a", 1, formula))
    assert "it has formulas without results: open it in Excel and save it" in refusal(data)
    for empty in (b"<v />", b"<v></v>", b"<v/>"):
        data = changed(data, SHEET, empty, b"<v>the man</v>")
    data = changed(data, SHEET, b'<c r="D2">', b'<c r="D2" t="str">')
    assert read(data)[0].select_character == "the man"


def test_without_its_package_a_workbook_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    data, real = workbook(HEADER, line("a", 1)), builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "openpyxl":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    said = refusal(data)
    assert "it is an Excel workbook (.xlsx), which needs the package openpyxl" in said
    assert "have airflow-provider-segmind[excel] installed, or export the sheet as CSV UTF-8" in said


def changed(data: bytes, part: str, old: bytes, new: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as after:
        for name in before.namelist():
            text = before.read(name)
            after.writestr(name, text.replace(old, new) if name == part else text)
    return file.getvalue()


SHEET = "xl/worksheets/sheet1.xml"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (b"<worksheet", b"<!DOCTYPE a [<!ENTITY b 'c'>]><worksheet", "has what Excel never writes"),
        (b"<worksheet", b"<?xml version='1.0' encoding='cp037'?><worksheet", "has what Excel never writes"),
        (b"<worksheet", b"\xff\xfe<worksheet", "has what Excel never writes"),
        (b"<sheetData>", b"<sheetData" + b" " * 2**21 + b"><!-- <!ENTITY -->", "has what Excel never writes"),
        (b"</sheetData>", b"", "it is a broken Excel workbook (ExpatError)"),
        (b"<worksheet", b"<worksheet x='" + b" " * 2**22 + b"'", "has more than 1 MiB unpacked"),
    ],
)
def test_a_workbook_that_is_made_to_harm_is_refused(
    monkeypatch: pytest.MonkeyPatch, old: bytes, new: bytes, said: str
) -> None:
    if "1 MiB" in said:
        monkeypatch.setattr("airflow_provider_segmind.api.workbook.MAX_UNPACKED", 2**20)
    assert said in refusal(changed(workbook(HEADER, line("a", 1)), SHEET, old, new))


@pytest.mark.parametrize("ref", ["XFD1048576", "ZZZ9999999", "A99999999999999"])
def test_a_cell_that_is_far_away_costs_little(ref: str) -> None:
    data = workbook(HEADER, line("a", 1))
    row = "".join(sign for sign in ref if sign.isdecimal())
    far = f'<row r="{row}"><c r="{ref}"><v>1</v></c></row></sheetData>'.encode()
    assert [swap.id for swap in read(changed(data, SHEET, b"</sheetData>", far))] == ["a"]
