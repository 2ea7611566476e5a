"""What a workbook's programs write in their own ways is read as it is shown, or refused."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_segmind.api import workbook
from tests.api.manifests import P, read, refusal

HEADER = ["id", "character_image", "reference_character_image", "select_character", "price"]
NO_RESULTS = "it has formulas without results: open it in Excel and save it"


def book(*rows: list[Any], hidden: tuple[str, ...] = (), change: Callable[[str], str] | None = None) -> bytes:
    """Return a workbook of which the sheet's XML is changed."""
    openpyxl = pytest.importorskip("openpyxl")
    made = openpyxl.Workbook()
    for row in [HEADER, *rows]:
        made.active.append(row)
    for name in hidden:
        kinds = made.active.row_dimensions if name.isdecimal() else made.active.column_dimensions
        kinds[int(name) if name.isdecimal() else name].hidden = True
    before, after = io.BytesIO(), io.BytesIO()
    made.save(before)
    with zipfile.ZipFile(before) as old, zipfile.ZipFile(after, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            text = old.read(name).decode()
            new.writestr(name, change(text) if change and name.endswith("sheet1.xml") else text)
    return after.getvalue()


def line(label: str, words: str = "woman", price: object = None) -> list[Any]:
    return [label, f"https://example.com/{label.strip()}.jpg", P, words, price]


def cell(xml: str, place: str = "D2") -> Callable[[str], str]:
    """Return what puts another cell in the place."""
    return lambda text: re.sub(rf'<c r="{place}"[^>]*>.*?</c>', xml, text)


def prefixed(text: str) -> str:
    return re.sub(r"<(/?)(?=[a-z])", r"<\1x:", text).replace("xmlns=", "xmlns:x=")


@pytest.mark.parametrize("change", [str, prefixed], ids=["plain", "prefixed"])
@pytest.mark.parametrize(
    "xml",
    [
        '<c r="D2"><f>A2</f></c>',
        '<c r="D2"><f>A2</f><v/></c>',
        '<c r="D2"><f>A2</f><v> </v></c>',
        '<c r="D2" t="str"><f>A2</f></c>',
        "<c r='D2' t='str' s='0'><f t='shared' si='0'/></c>",
    ],
)
def test_a_formula_without_a_result_is_refused_however_it_is_written(xml: str, change: Callable[[str], str]) -> None:
    assert f"the file: {NO_RESULTS}" in refusal(book(line("a"), change=lambda text: change(cell(xml)(text))))


@pytest.mark.parametrize(
    ("xml", "words"),
    [
        ('<c r="D2" t="str"><f>A2</f><v></v></c>', "woman"),  # Excel's own empty text
        ('<c r="D2" t="str"><f>A2</f><v>the man</v></c>', "the man"),
        ('<c r="D2" t="str"><f>A2</f><v>0</v></c>', "0"),
        ('<c r="D2"><f>A2</f><v>70</v></c>', "70"),
        ('<c r="D2" t="inlineStr"><f>A2</f><is><t>man</t></is></c>', "man"),
    ],
)
def test_the_result_of_a_formula_is_read(xml: str, words: str) -> None:
    assert read(book(line("a"), change=cell(xml)))[0].select_character == words


@pytest.mark.parametrize("place", ["A2", "B2", "C2", "D2"])
def test_the_zero_of_a_program_that_calculates_nothing_is_no_text(place: str) -> None:
    name = HEADER["ABCD".index(place[0])]
    data = book(line("a"), change=cell(f'<c r="{place}"><f>E2</f><v>0</v></c>', place))
    assert f"row 2: {name} is the 0 of a formula. Perhaps {NO_RESULTS}" in refusal(data)
    bare = book(
        line("a"),
        change=lambda text: re.sub(r' r="[A-E]?\d"', "", cell(f'<c r="{place}"><f>E2</f><v>0</v></c>', place)(text)),
    )
    assert f"row 2: {name} is the 0 of a formula" in refusal(bare)


def test_a_zero_in_a_column_that_is_only_kept_is_one() -> None:
    data = book(
        line("a", price="x"), change=cell('<c r="E2"><f>1-1</f><v>0</v></c><c r="F2"><f>1-1</f><v>0</v></c>', "E2")
    )
    assert read(data)[0].extra == '{"price": "0"}'


@pytest.mark.parametrize(
    "text", ["<c " * 100_000, "<mergeCell " * 100_000, "<c><f>" * 100_000], ids=["c", "merge", "f"]
)
def test_xml_that_is_made_to_take_long_takes_none(text: str) -> None:
    data = book(line("a"), change=lambda xml: xml.replace("<sheetData>", text + "<sheetData>"))
    assert "it is a broken Excel workbook" in refusal(data)  # a search that goes back takes minutes


def test_more_merged_cells_than_a_person_makes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workbook, "MAX_NOTED", 3)
    merged = '</sheetData><mergeCells><mergeCell ref="A1"/>' + '<mergeCell ref="Z8:Z9"/>' * 4 + "</mergeCells>"
    data = book(line("a"), change=lambda xml: xml.replace("</sheetData>", merged))
    assert "the sheet has more than 3 merged cells and formulas that give 0: export it as CSV" in refusal(data)


@pytest.mark.parametrize("text", ["#NV", "#WERT!", "a fault of tomorrow"])
def test_a_cell_that_excel_says_is_an_error_is_one(text: str) -> None:
    data = book(line("a"), change=cell(f'<c r="D2" t="e"><v>{text}</v></c>'))
    assert "row 2: select_character shows an error of the spreadsheet" in refusal(data)


def test_control_characters_are_decoded_and_ids_are_stripped() -> None:
    label, man, photo = " a ", "the man_x000D_\nin _x005F_red_x000d_", "img_x1024_768"
    swaps = read(book(line(label, man), line(photo)))
    assert [(swap.id, swap.select_character) for swap in swaps] == [("a", "the man\r\nin _red"), (photo, "woman")]
    assert swaps[1].character_image == f"https://example.com/{photo}.jpg", "of a name that only looks like one"
    assert "row 3: it is the same id as row 2" in refusal(book(line("a"), line(" a ", "man")))
    assert read(book(["", *line("b")[1:]], [" \n", *line("c")[1:]]))[1].id is None


def test_hidden_rows_and_columns_are_read_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    assert len(read(book(line("a"), line("b"), line("c"), hidden=("3", "4", "9", "E", "H")))) == 3
    assert "The sheet's hidden rows (2) and columns (1) are read too." in caplog.text
    caplog.clear()
    assert len(read(book(line("a"), hidden=("H",)))) == 1
    assert not caplog.text


def test_a_workbook_whose_first_sheet_is_another_names_it_and_the_others() -> None:
    openpyxl = pytest.importorskip("openpyxl")
    made = openpyxl.Workbook()
    made.active.title = "Export Summary"
    made.active.append(["This document was exported from Numbers."])
    made.create_sheet("Sheet 1").append(HEADER)
    file = io.BytesIO()
    made.save(file)
    said = refusal(file.getvalue(), "m.xlsx")
    assert "row 1: the header has no column character_image" in said
    assert "the file: only the first visible sheet is read, 'Export Summary'; others are 'Sheet 1'" in said
