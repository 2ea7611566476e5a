"""Tables as spreadsheets write them are read as they are shown, or refused with the line."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.manifest import read_items
from airflow_provider_segmind.api.tables import MAX_EXTRA, MAX_LINE
from airflow_provider_segmind.api.workflows import check_character
from tests.api.manifests import HEAD, PAIR, ROW, P, ids, read, refusal

MAN = f"b,https://example.com/2.jpg,{P},man\r\n"


@pytest.mark.parametrize(
    ("cell", "place"),
    [
        ("woman\nin red", "line 4"),  # Alt+Enter in Excel and Google Sheets
        ("woman\r\nin red", "line 4"),  # LibreOffice
        ("woman\rin red", "line 4"),
        ('woman\n\n"in"\nred', "line 6"),
        ("woman in red", "line 3"),
    ],
)
def test_a_cell_may_have_line_breaks_and_places_are_those_of_the_file(cell: str, place: str) -> None:
    quoted = '"' + cell.replace('"', '""') + '"'
    swaps = read(HEAD + f"a,https://example.com/1.jpg,{P},{quoted}\r\n" + MAN)
    assert [swap.select_character for swap in swaps] == [cell, "man"]
    assert swaps[1].place == place


NOTHING = [
    *("NULL", "null", "nan", "NaN", "NaT", "None", "\\N", "N/A", "n/a", "<NA>", "(null)", "(blank)", "undefined"),
    *("[object Object]", "-", "--", "\u2014", "?", "...", "\u3003", "''", "same as above", "TBD", "_"),
]


@pytest.mark.parametrize("cell", NOTHING)
def test_what_stands_for_nothing_is_no_person_and_no_picture(cell: str) -> None:
    said = refusal(HEAD + f"a,https://example.com/1.jpg,{P},{cell}\r\n" + MAN)
    assert f"line 2: select_character is '{cell}': say in words" in said.replace("\\\\", "\\").replace('"', "'")
    assert "leave it empty in a manifest to use the default" in said
    assert "line 2: character_image is empty" in refusal(HEAD + f"a,{cell},{P},man\r\n" + MAN)
    with pytest.raises(InvalidRequestError, match="item 0: select_character"):
        read_items([PAIR], select_character=cell)


@pytest.mark.parametrize(
    "cell",
    [
        *("woman", "the nan on the left", "man no. 2", "2", "none of the men, but the woman", "N. Adams", "Noa"),
        *("Nil's", "女", "امرأة", "मॉडल", "the “big” man", "woman 👗", "CAFÉ…", "IRMÔ”", "IRMû", "À»", "la niña"),
        *("Frau mit grünem Kleid", "Ângela", "à « gauche »"),
    ],
)
def test_words_in_any_language_are_a_description(cell: str) -> None:
    assert read(HEAD + f'a,https://example.com/1.jpg,{P},"{cell}"\r\n')[0].select_character == cell


@pytest.mark.parametrize("cell", ["ni\ufffdo", "grÃ¼nes Kleid", "the â€œbig one", "Ð¶ÐµÐ½Ñ‰"])
def test_a_description_that_lost_letters_is_refused(cell: str) -> None:
    assert "in which letters were lost on the way" in refusal(HEAD + f"a,https://example.com/1.jpg,{P},{cell}\r\n")


def test_line_breaks_in_the_header_and_in_a_column_that_is_only_kept() -> None:
    header = 'Handle,"Body\n(HTML)","Character\nImage",Reference Character Image\n'
    swaps = read(f'{header}mug,"<p>\n\n</p>",{P},{P}\n\nx,,{P}2,{P}\n')
    assert [(swap.place, json.loads(swap.extra)["Handle"]) for swap in swaps] == [("line 4", "mug"), ("line 8", "x")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_each_end_of_a_line_counts_as_an_editor_counts(end: str) -> None:
    swaps = read(f"{HEAD}\r\n{ROW}{MAN}".replace("\r\n", end).removesuffix(end))
    assert [swap.place for swap in swaps] == ["line 3", "line 4"]


@pytest.mark.parametrize(
    "rows",
    [
        ROW + ",,,\r\n,,,\r\n",
        ROW + '"","","",""\r\n\r\n',
        ",,,\r\n" + ROW + " , ,\t,\r\n",
        ROW + ",,,,,,,,\r\n",
        ROW + ";;;\r\n".replace(";", ","),
        ROW + "\u00a0,,,\n",
    ],
)
def test_rows_of_nothing_are_blank_lines(rows: str) -> None:
    assert ids(read(HEAD + rows)) == ["a"]


@pytest.mark.parametrize(
    "data",
    [
        f"id,character_image,reference_character_image,,\r\na,https://example.com/1.jpg,{P},,\r\n",
        f"id,character_image,reference_character_image,,,\r\na,https://example.com/1.jpg,{P}\r\n",  # Numbers
        f"id,character_image,reference_character_image\r\na,https://example.com/1.jpg,{P},,,\r\n",
        f",character_image,reference_character_image,ID\r\n0,https://example.com/1.jpg,{P},a\r\n",  # pandas' index
        f"id,,character_image,,reference_character_image\r\na,x,https://example.com/1.jpg,y,{P}\r\n",
    ],
)
def test_columns_without_a_name_are_no_columns(data: str) -> None:
    assert ids(read(data)) == ["a"]


def test_cells_that_are_missing_at_the_end_are_empty() -> None:
    assert [swap.select_character for swap in read(HEAD + f"a,https://example.com/1.jpg,{P}\r\n" + MAN)] == [
        "woman",
        "man",
    ]


@pytest.mark.parametrize(
    "row",
    [f"a,https://example.com/1.jpg,{P},the man, left\r\n", f"a,https://example.com/1.jpg,{P},the man,\u00a0left,,\r\n"],
)
@pytest.mark.parametrize("head", [HEAD, HEAD.replace("\r\n", ",,\r\n")])
def test_a_comma_that_is_not_quoted_is_no_shift_of_columns(head: str, row: str) -> None:
    said = refusal(head + row)
    assert "line 2: it has" in said
    assert "is a comma in a cell not quoted?" in said
    assert "left" not in said


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
@pytest.mark.parametrize("first", ["", "sep=X\r\n", '"sep=X"\n', "SEP=X\r", "sep=XXX\r\n", "\ufeffsep=X\r\n"])
def test_each_delimiter_is_read_also_where_excel_writes_it_first(delimiter: str, first: str) -> None:
    first = first.replace("X", delimiter)
    swaps = read(first + (HEAD + ROW + '"the, b"' + MAN[1:]).replace('"the, b"', "b").replace(",", delimiter))
    assert ids(swaps) == ["a", "b"]
    assert [swap.place for swap in swaps] == (["line 3", "line 4"] if first else ["line 2", "line 3"])


def test_an_unusual_delimiter_that_the_file_names_is_read_and_a_wrong_one_is_not_believed() -> None:
    assert ids(read("sep=^\r\n" + (HEAD + ROW).replace(",", "^"))) == ["a"]
    assert ids(read("sep=;\r\n" + HEAD + ROW)) == ["a"]
    assert "there is nothing to swap" in refusal("sep=;\r\n")


def test_decimal_commas_and_commas_in_a_file_of_semicolons_stay() -> None:
    swaps = read(
        f"id;character_image;reference_character_image;price;select_character\r\na;{P}2;{P};1,50;the man, left\r\n"
    )
    assert (swaps[0].select_character, json.loads(swaps[0].extra)) == ("the man, left", {"price": "1,50"})


CELLS = st.text(
    st.characters(codec="cp1252", exclude_categories=["Cc", "Cs"]) | st.sampled_from(list('\n\r\t,;"| =')), max_size=20
)


def is_description(text: str) -> bool:
    try:
        return check_character(text) == text and not text.startswith(('="', "#", "Loading"))
    except InvalidRequestError:
        return False


WORDS = CELLS.filter(is_description)
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
TABLES = st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=6)


@settings(deadline=None)
@given(
    TABLES,
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.sampled_from(ENCODINGS),
    st.booleans(),
)
@example([('"x', "é\r\n\ta")], ";", "\r", True, "utf-16-be", True)
def test_whatever_a_spreadsheet_writes_in_each_dialect_is_read_back(
    table: list[tuple[str, str]], delimiter: str, end: str, all_quoted: bool, encoding: str, packed: bool
) -> None:
    file = io.StringIO(newline="")
    # Python's writer leaves a CR bare where lines end in LF, and the other way round.
    breaks = any(sign in cell for row in table for cell in row for sign in "\r\n")
    quoting = csv.QUOTE_ALL if all_quoted or breaks else csv.QUOTE_MINIMAL
    writer = csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writerow(["character_image", "reference_character_image", "select_character", "note"])
    writer.writerows([f"https://example.com/{n}.jpg", P, *cells] for n, cells in enumerate(table))
    data = file.getvalue().encode(encoding)
    if encoding == "cp1252":
        # What could be other text than that of Windows is refused, and nothing else is.
        with contextlib.suppress(InvalidRequestError):
            assert [swap.select_character for swap in read(data)] == [words for words, _ in table]
        return
    swaps = read(gzip.compress(data) if packed else data)
    assert [(swap.select_character, json.loads(swap.extra)["note"]) for swap in swaps] == table


@pytest.mark.parametrize(
    "header",
    [
        "ID,Character Image,Reference Character Image,Select Character",
        "Id,character-image,REFERENCE_CHARACTER_IMAGE,selectCharacter",
        " id , Character_Image,reference character  image , select.character",
        "iD,CHARACTERIMAGE,ReferenceCharacterImage,Select_Character ",
    ],
)
def test_names_of_columns_are_known_however_they_are_written(header: str) -> None:
    assert read(f"{header}\n{ROW}") == read(HEAD + ROW)
    names = [name.strip() for name in header.split(",")]
    assert ids(read_items([dict(zip(names, ROW.strip().split(","), strict=True))], select_character="x")) == ["a"]


SHOPIFY = (
    "Handle,Title,Body (HTML),Vendor,Tags,Published,Variant SKU,Image Src,Image Position,Image Alt Text,Model\r\n"
    'mug,"Mug, ""big""","<p>A\r\nmug</p>",Acme,"a, b",true,0042,https://cdn.shopify.com/s/files/1/mug.jpg?v=17,1,,'
    f"{P}\r\n"
)


def test_a_shops_export_is_read_by_the_authors_names_of_columns_and_the_rest_is_kept() -> None:
    columns = {"Image Src": "character_image", "Model": "reference_character_image", "Variant SKU": "id"}
    (swap,) = read(SHOPIFY, columns=columns)
    assert (swap.id, swap.character_image, swap.place) == (
        "0042",
        "https://cdn.shopify.com/s/files/1/mug.jpg?v=17",
        "line 2",
    )
    kept = json.loads(swap.extra)
    assert (kept["Title"], kept["Body (HTML)"], kept["Tags"]) == ('Mug, "big"', "<p>A\r\nmug</p>", "a, b")
    assert "Image Alt Text" not in kept


def test_the_authors_name_of_a_column_comes_before_our_own() -> None:
    data = f"id,SKU,character_image,reference_character_image\n1,0x10,{P}2,{P}\n"
    assert ids(read(data)) == ["1"]
    (swap,) = read(data, columns={"sku": "id"})
    assert (swap.id, json.loads(swap.extra)) == ("0x10", {"id": "1"})
    given = {"sku": "0x10", "Photo": P + "2", "reference_character_image": P}
    (swap,) = read_items([given], select_character="man", columns={"SKU": "id", "Photo": "character_image"})
    assert (swap.id, swap.character_image) == ("0x10", P + "2")


@pytest.mark.parametrize(
    ("name", "other"),
    [
        *(("Foto +", "Foto -"), ("Image 1 1", "Image 11"), ("Image 1.1", "Image 11"), ("की", "का"), ("मडल", "मॉडल")),
        *(("🧍", "👗"), ("★", "☆"), ("#", "*"), ("№", "%"), ("Photo (front)", "Photo / front"), ("a_b", "ab")),
    ],
)
def test_each_sign_counts_in_the_names_that_the_author_gives(name: str, other: str) -> None:
    data = f"{other},{name},ref\nx,{P}2,{P}\n"
    columns = {name: "character_image", "ref": "reference_character_image"}
    (swap,) = read(data, columns=columns)
    assert (swap.character_image, json.loads(swap.extra)) == (P + "2", {other: "x"})
    assert f"no column {name!r} (character_image)" in refusal(data.replace(name, "y"), columns=columns)
    item = {other: "x", name: P + "2", "ref": P}
    assert read_items([item], select_character="woman", columns=columns)[0].given == swap.given


@pytest.mark.parametrize(
    ("given", "header"),
    [
        *(("Größe", "Gro\u0308ße"), ("Gro\u0308ße", "Größe"), ("image src", " Image\u00a0Src "), ("STRASSE", "Straße")),
        *(("Image Src", '"Image\nSrc"'), ("Фото", "фото")),
    ],
)
def test_accents_blanks_and_capitals_may_be_written_in_another_way(given: str, header: str) -> None:
    columns = {given: "character_image", "ref": "reference_character_image"}
    assert read(f"{header},ref\n{P}2,{P}\n", columns=columns)[0].character_image == P + "2"


@pytest.mark.parametrize("name", ["id", "character_image", "note"])
def test_a_name_twice_in_an_object_is_refused(name: str) -> None:
    for where in ("m.jsonl", "m.json"):
        text = json.dumps({"id": "a", "note": 1, **PAIR})[:-1] + f', "{name}": "x"}}'
        said = refusal(f"[{text}]" if where == "m.json" else text, where)
        assert f"line 1: it has '{name}' twice: give each name once" in said


@pytest.mark.parametrize(
    "columns",
    [
        {"SKU": "id", "sku": "takes"},
        "a",
        ["a"],
        {1: "id"},
        {"a": "name"},
        {"a": "id", "b": "id"},
        {"a": None},
        {"a": ["id"]},
    ],
)
def test_a_wrong_map_of_columns_is_refused(columns: object) -> None:
    with pytest.raises(InvalidRequestError, match=r"^columns (is|maps to) "):
        read_items([PAIR], select_character="man", columns=columns)


def test_a_column_that_the_author_names_must_be_there() -> None:
    said = refusal(HEAD + ROW, columns={"Image Src": "character_image"})
    assert "line 1: the header has no column 'Image Src' (character_image)" in said


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("charcter_image", "character_image"),
        ("Charakter Image", "character_image"),
        ("refrence_character_image", "reference_character_image"),
        ("select_charcter", "select_character"),
        ("selectcharacters", "select_character"),
        ("consent_refrence", "consent_reference"),
        ("take", "takes"),
    ],
)
def test_a_misspelt_column_is_named_if_the_right_one_is_missing(name: str, meant: str) -> None:
    full = {**PAIR, "select_character": "a", "consent_reference": "b", "takes": "1"}
    wrong = {(name if known == meant else known): value for known, value in full.items()}
    said = refusal(",".join(wrong) + "\n" + ",".join(wrong.values()) + "\n")
    assert f"line 1: the header's '{name}' seems to mean {meant}: correct it" in said
    assert f"line 1: '{name}' seems to mean {meant}: correct it" in refusal(json.dumps(wrong), "a.jsonl")
    assert len(read(json.dumps({**full, name: "x"}))) == 1, "beside the right one it is another column"


def test_what_is_in_other_columns_is_kept_up_to_a_limit() -> None:
    row = {**PAIR, "n": 7, "list": [1, None], "none": None, "long": "x" * 9000, "late": "y"}
    (swap,) = read_items([row], select_character="man")
    kept = json.loads(swap.extra)
    assert (kept["n"], kept["list"]) == ("7", "[1, null]")
    assert kept["long"].endswith("x…")
    assert len(swap.extra) < MAX_EXTRA + 100
    assert kept.keys() == {"n", "list", "long"}
    assert not read_items([PAIR], select_character="man")[0].extra


def test_a_row_of_the_csv_module_that_is_longer_than_the_header_is_refused() -> None:
    rows = csv.DictReader(io.StringIO(HEAD + ROW.strip() + ", left\r\n", newline=""))
    with pytest.raises(InvalidRequestError, match="item 0: it has more values than names"):
        read_items(rows, select_character="man")


def test_a_mark_of_excel_in_the_first_name_of_a_dict_is_no_part_of_it() -> None:
    rows = csv.DictReader(io.StringIO("\ufeff" + HEAD + ROW, newline=""))
    assert ids(read_items(rows, select_character="man")) == ["a"]


def test_a_name_that_is_there_twice_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="item 0: it has character_image twice"):
        read_items([{**PAIR, "Character Image": P}], select_character="man")


@pytest.mark.parametrize(
    "shown", ["1e5", "0x10", "1,2", "007", "1_000", "True", "1.50", "12345678901234567890", "None"]
)
def test_an_id_is_the_text_that_it_was(shown: str) -> None:
    assert ids(read(HEAD + ROW.replace("a,", f'"{shown}",', 1))) == [shown]
    assert ids(read(json.dumps({**PAIR, "id": shown}), "a.jsonl")) == [shown]
    assert ids(read_items([{**PAIR, "id": shown}], select_character="man")) == [shown]


@pytest.mark.parametrize("value", [1e5, (1, 2), 1.5, True, ["a"], {"a": 1}, b"a"])
@pytest.mark.parametrize("name", ["id", "consent_reference"])
def test_an_id_that_is_no_text_any_more_is_refused(name: str, value: object) -> None:
    with pytest.raises(InvalidRequestError, match=f"item 0: {name} is no text but a {type(value).__name__}"):
        read_items([{**PAIR, name: value}], select_character="man")


def test_digits_that_an_export_marks_as_a_text_are_one() -> None:
    assert ids(read(HEAD + ROW.replace("a,", '="007",', 1) + MAN.replace("b,", '"=""1e5""",', 1))) == ["007", "1e5"]
    assert ids(read(HEAD + ROW.replace("a,", "=A1,", 1))) == ["=A1"]


@pytest.mark.parametrize("fault", ["#N/A", "#REF!", "#NAME?"])
def test_an_error_that_a_sheet_shows_is_no_value(fault: str) -> None:
    assert "line 2: select_character shows an error of the spreadsheet" in refusal(HEAD + ROW.replace("woman", fault))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (HEAD + ROW + 'b,"https://example.com/2.jpg,x,man\r\n', "line 3: it is no line of CSV"),
        (HEAD + 'a,"b"c,d,e\r\n' + MAN + MAN, "line 2: it is no line of CSV"),
        (HEAD + 'a,"b"c,d,e\r\n' + MAN + MAN, "line 4: it is the same swap as line 3"),
        (HEAD + 'a,"' + "x\r\n" * 99999, "line 2: it is no line of CSV (field larger"),
        (HEAD + ROW + "b," + "x" * MAX_LINE + f",{P},\r\n" + MAN + MAN, "line 5: it is the same swap as line 4"),
        (HEAD + ROW + "b," + "x" * MAX_LINE + f",{P},\r\n", f"line 3: it has more than {MAX_LINE} characters"),
        (HEAD + ROW + HEAD + MAN, "line 3: the header is there again: were two files joined?"),
        ('"id","character', "line 1: it is no line of CSV"),
        ('"' + "x" * 200_000, "line 1: it is no line of CSV (field larger"),
    ],
)
def test_broken_csv_is_named_with_its_line(data: str, said: str) -> None:
    assert said in refusal(data)


def test_an_id_that_pandas_misses_is_none() -> None:
    assert ids(read_items([{**PAIR, "id": float("nan")}], select_character="x")) == [None]


def test_a_title_above_the_header_is_suspected() -> None:
    said = refusal("Summer catalogue,,,\n" + HEAD + ROW)
    assert "line 1: the header has no column" in said
    assert "the first line that is not blank must be the header, so delete a title above it" in said
    assert "title" not in refusal("id,character_image\n")


def test_fields_and_pictures_in_objects_of_their_own_are_named() -> None:
    for name in ("fields", "inputs"):
        assert "it holds its fields in an object of their own" in refusal(json.dumps([{name: PAIR}]), "m.json")
    for value, kind in (({"url": P}, "dict"), ([P], "list")):
        said = refusal(json.dumps([{**PAIR, "character_image": value}]), "m.json")
        assert f"character_image is a {kind}, not a text: write the picture's address alone" in said


def test_a_last_column_that_is_too_long_to_keep_is_cut() -> None:
    (swap,) = read_items([{**PAIR, "note": "x" * 9000}], select_character="x")
    assert json.loads(swap.extra) == {"note": "x" * (MAX_EXTRA - len("note")) + "…"}
