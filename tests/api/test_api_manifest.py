"""A manifest is read, or refused with every problem and its line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.manifest import SHOWN, Swap, read_items, read_manifest
from airflow_provider_segmind.api.tables import MAX_LINE

SCENE, PERSON = "https://a.example/1.png", "https://a.example/2.png"
ITEM = {"character_image": SCENE, "reference_character_image": PERSON}


def lines(*items: Any) -> bytes:
    return "".join(json.dumps(item) + "\n" for item in items).encode()


def read(data: bytes, name: str = "swaps.jsonl") -> list[Swap]:
    return read_manifest(data, name, select_character="woman")


def refused(data: bytes, name: str = "swaps.jsonl") -> str:
    with pytest.raises(InvalidRequestError) as error:
        read(data, name)
    return str(error.value)


def test_json_lines_are_read_with_their_lines_and_blank_ones_left_out() -> None:
    man = {**ITEM, "select_character": "the man", "id": 7}
    swaps = read(b"\xef\xbb\xbf" + lines(ITEM) + b"\n  \n" + lines(man))
    assert swaps == [
        Swap(0, "line 1", SCENE, PERSON, "woman", None),
        Swap(1, "line 4", SCENE, PERSON, "the man", "7"),
    ]
    assert swaps[1].given == {**ITEM, "select_character": "the man"}


def test_csv_is_read_by_its_header_in_any_order_with_quotes_and_windows_ends() -> None:
    data = b'id, reference_character_image,character_image,select_character\r\na,"%s",%s,"the man, left"\r\n,%s,%s,\r\n'
    swaps = read(data % (PERSON.encode(), SCENE.encode(), PERSON.encode(), SCENE.encode()), "S3://bucket/Swaps.CSV")
    assert swaps == [
        Swap(0, "line 2", SCENE, PERSON, "the man, left", "a"),
        Swap(1, "line 3", SCENE, PERSON, "woman", None),
    ]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "there is nothing to swap in it"),
        (b"\n\n", "there is nothing to swap in it"),
        (lines(ITEM) + b"{broken\n", "line 2: it is no JSON object"),
        (lines(ITEM) + b"[" * 9000, "line 2: it is no JSON object"),
        (lines(ITEM, [1]), "line 2: it is [1], not an object with character_image"),
        (lines(ITEM, {"character_image": SCENE}), "line 2: reference_character_image is empty"),
        (
            lines(ITEM, {"charcter_image": SCENE, "reference_character_image": PERSON}),
            "line 2: 'charcter_image' seems to mean character_image",
        ),
        (lines(ITEM, ITEM), "line 2: it is the same swap as line 1; it would be paid for twice"),
        (
            lines({**ITEM, "id": 1}, {**ITEM, "select_character": "b", "id": "1"}),
            "line 2: it is the same id as line 1",
        ),
        (lines(ITEM, {**ITEM, "x": "x" * MAX_LINE}), f"characters, at most {MAX_LINE} are read"),
        (lines(ITEM) + b"\xff\xfe", "line 2: it is not UTF-8 (invalid start byte at byte 0)"),
        (lines(ITEM, {**ITEM, "select_character": 7}), "line 2: select_character is 7"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(data: bytes, said: str) -> None:
    message = refused(data)
    assert said in message
    assert message.startswith("swaps.jsonl cannot be ordered, and nothing was ordered.")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"character_image,select_character\n", "line 1: the header has no column reference_character_image"),
        (
            b"character_image,reference_character_image,character_image\n",
            "line 1: the header has character_image twice",
        ),
        (b"character_image,reference_character_image\na\n", "line 2: reference_character_image is empty"),
        (b"character_image,reference_character_image\na,b,c\n", "line 2: it has 3 cells, and the header 2"),
        (b'character_image,reference_character_image\n"a,b\n', "line 2: it is no line of CSV"),
        (b"character_image,reference_character_image\n,b\n", "line 2: character_image is empty"),
        (b"character_image,reference_character_image\n", "there is nothing to swap in it"),
    ],
)
def test_what_is_wrong_with_csv_is_named_with_its_line(data: bytes, said: str) -> None:
    assert said in refused(data, "swaps.csv")


def test_all_problems_are_said_at_once_and_a_long_list_is_cut() -> None:
    message = refused(lines(*({"character_image": str(n)} for n in range(SHOWN + 5))))
    assert message.count("reference_character_image is empty") == SHOWN
    assert message.endswith("… and 5 more")


def test_a_list_is_read_with_its_items() -> None:
    assert read_items([ITEM], select_character="man") == [Swap(0, "item 0", SCENE, PERSON, "man", None)]


@pytest.mark.parametrize("items", ["a", b"a", {"character_image": SCENE}, 7, None])
def test_what_is_no_list_is_refused(items: object) -> None:
    with pytest.raises(InvalidRequestError, match=r"swaps is .*give a list of dicts"):
        read_items(items, select_character="woman")
