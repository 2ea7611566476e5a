"""What exports lose or spoil in a table is noticed before anything is ordered."""

from __future__ import annotations

import json

import pytest

from tests.api.manifests import P, read, refusal

HEAD = "id,character_image,reference_character_image,select_character\n"


def row(label: str, words: str, end: str = "\n") -> str:
    return f"{label},https://example.com/{label}.jpg,{P},{words}{end}"


def words(data: str | bytes) -> list[str]:
    return [swap.select_character for swap in read(data)]


SWALLOWED = "a quotation mark begins a cell that goes on over whole rows: close it, or export as CSV"
DITTO = row("a", "woman") + row("b", '"') + row("c", "man") + row("d", '"') + row("e", "man")
FIRST = (  # a mark in the first column and in the next row
    f'select_character,character_image,reference_character_image\nman,{P}1,{P}\n",{P}2,{P}\n",{P}3,{P}\n'
)

SPACES = HEAD + DITTO.replace("https://example.com/", "my pictures/")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(("data", "place"), [(HEAD + DITTO, "line 3"), (FIRST, "line 3"), (" ,\n" + SPACES, "line 4")])
@pytest.mark.parametrize("delimiter", [",", ";", "|"])
def test_rows_that_a_quotation_mark_swallows_are_refused(data: str, place: str, delimiter: str, end: str) -> None:
    assert f"{place}: {SWALLOWED}" in refusal(data.replace("\n", end).replace(",", delimiter))


def test_rows_that_the_header_swallows_are_refused() -> None:
    data = HEAD.replace("\n", ',"notes\n') + row("a", "man") + row("b", 'man,"')
    assert f"line 1: {SWALLOWED}" in refusal(data)


@pytest.mark.parametrize(
    "cell",
    [
        "the woman,\nin red, blue, and green, left",
        f"see {P}\nand, or, not, none",
        "a\n\n,,,\n",
        "<p>\n<a href='https://a.example/1.jpg'>x, y</a>, a, b, c\n</p>",
        f"{P},\n{P},\n{P}",
    ],
)
@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_a_cell_of_several_lines_with_commas_is_no_row(cell: str, delimiter: str) -> None:
    cell = cell.replace(",", delimiter)
    data = (HEAD + row("a", "@") + row("b", "man")).replace(",", delimiter).replace("@", f'"{cell}"')
    assert words(data) == [cell.strip(), "man"]


def tabs(text: str) -> str:
    return text.replace(",", "\t")


@pytest.mark.parametrize(
    "cell", ['"Anna" in red', '"left', '""x', 'a 5" doll', "5\u201d", '"Anna" and "Ben"'], ids=range(6)
)
def test_quotation_marks_of_a_sheets_tsv_are_signs(cell: str) -> None:
    data = tabs(HEAD + row("a", '"Anna" in red') + row("b", cell) + row("c", '"x') + row("d", "man"))
    assert words(data) == ['"Anna" in red', cell, '"x', "man"]
    assert words("sep=\t\n" + data) == words("\n\t\n" + data) == words(data)


def test_marks_of_a_sheets_tsv_in_two_columns_are_signs() -> None:
    data = tabs(HEAD.replace("\n", ",note\n") + row("a", "man,x") + row("b", '"left,"'))
    assert words(data) == ["man", '"left']


@pytest.mark.parametrize("cell", ['"', '""', "\u3003", "''"])
def test_a_ditto_mark_is_no_description(cell: str) -> None:
    data = tabs(HEAD + row("a", '"Anna" in red') + row("b", cell) + row("c", '"left'))
    assert "line 3: select_character is" in refusal(data)


@pytest.mark.parametrize("more", [row("x", "man,too,many"), "and so on\n", row("x", "m" * 140_000)])
def test_a_tsv_that_can_be_read_in_no_way_is_refused(more: str) -> None:
    assert f"line 3: {SWALLOWED}" in refusal(tabs(HEAD + row("a", "man") + row("b", '"') + row("c", '"') + more))


def test_what_excel_quotes_in_a_file_of_tabs_is_read() -> None:
    data = tabs(HEAD + row("a", '"the ""big"" man"') + row("b", '"x\ny"') + row("c", '"x,y"'))
    assert words(data) == ['the "big" man', "x\ny", "x\ty"]
    assert json.loads(read(tabs(HEAD.replace("\n", ",n\n") + row("a", 'm,"q"')))[0].extra) == {"n": "q"}


FAULTS = """
#N/A #NAME? #REF! #VALUE! #DIV/0! #NULL! #NUM! #ERROR! #SPILL! #CALC! #NV #WERT! #BEZUG! #N/D #N/D! #I/T #NOM?
#VALEUR! #¡VALOR! #¿NOMBRE? #¡DIV/0! #FIELD! #BUSY! #CONNECT! #BLOCKED! #UNKNOWN! #GETTING_DATA # ######## #ЗНАЧ!
#DĚLENÍ_NULOU! #SAYI/0! #YOK #HIÁNYZIK Loading... Err:502
"""


@pytest.mark.parametrize(
    "fault", [*FAULTS.split(), "#REF !", "#DIV/0\N{NO-BREAK SPACE}!", "#VALEUR\N{NARROW NO-BREAK SPACE}!"]
)
def test_an_error_of_a_sheet_in_each_language_is_no_value(fault: str) -> None:
    assert "line 2: select_character shows an error of the spreadsheet" in refusal(HEAD + row("a", fault))
    assert "line 2: id shows an error of the spreadsheet" in refusal(
        HEAD + row("a", "man").replace("a,", f"{fault},", 1)
    )


@pytest.mark.parametrize("label", ["#1001", "#A7", "#SALE", "#1001!", "#a!", "#Sale!", "Loading", "Err:1", "#7/8"])
def test_an_id_with_a_number_sign_is_one(label: str) -> None:
    assert read(HEAD + row("a", "man").replace("a,", f"{label},", 1))[0].id == label


def test_words_in_capitals_after_a_number_sign_describe_nobody() -> None:
    assert "select_character shows an error of the spreadsheet" in refusal(HEAD + row("a", "#SAKNAS"))
    assert words(HEAD + row("a", "#2 from the left") + row("b", "#LEFT woman")) == ["#2 from the left", "#LEFT woman"]


def test_a_comma_that_an_empty_last_column_absorbs_is_no_shift() -> None:
    head = HEAD.replace("\n", ",note\n")
    plain, shifted = row("a", "man,") + row("b", "man,x"), row("c", "the woman, in red,")
    for data, place in ((shifted, 2), (plain + shifted, 4), (shifted + plain, 2)):
        assert f"line {place}: it has 6 cells, and the header 5: is a comma in a cell not quoted?" in refusal(
            head + data
        )
    more = refusal(head + row("a", "man,x,") + row("b", "a, b, c,,"))
    assert "line 2: it has 6 cells" in more
    assert "line 3: it has 8 cells" in more


def test_a_comma_that_an_export_adds_to_each_row_is_none() -> None:
    assert words(HEAD + row("a", "man,") + row("b", "woman,") + ",,,,\n") == ["man", "woman"]
    assert words(HEAD.replace("\n", ",,\n") + row("a", "man,") + row("b", "woman,,")) == ["man", "woman"]
    assert len(read(f"id,character_image,reference_character_image\na,{P}1,{P},,,\n")) == 1
