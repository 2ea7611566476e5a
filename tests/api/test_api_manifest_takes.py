"""Several takes of one swap are ordered when a list asks for them, and only then."""

from __future__ import annotations

import pytest

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.manifest import MAX_TAKES, read_items
from tests.api.manifests import HEAD, PAIR, ROW, P, ids, read, refusal


def test_takes_are_ordered_when_they_are_asked_for() -> None:
    swaps = read(
        f"id,character_image,reference_character_image,Takes\na,{P}2,{P},3\n,{P}3,{P}, 2 \nb,{P}4,{P},1\nc,{P}5,{P},\n"
    )
    assert ids(swaps) == ["a-1", "a-2", "a-3", None, None, "b", "c"]
    assert [swap.index for swap in swaps] == list(range(7))
    assert [swap.place for swap in swaps[2:6]] == ["line 2, take 3", "line 3, take 1", "line 3, take 2", "line 4"]
    assert len({tuple(swap.given.items()) for swap in swaps}) == 4
    assert len(read_items([{**PAIR, "takes": 2}], select_character="man")) == 2
    assert len(read_items([{**PAIR, "takes": 2.0}], select_character="man")) == 2


@pytest.mark.parametrize("takes", ["0", "-1", "1.5", "two", "101", "1e1", 0, MAX_TAKES + 1, True, 1.5, [2]])
def test_takes_are_a_whole_number(takes: object) -> None:
    with pytest.raises(InvalidRequestError, match=r"item 0: takes is .*: it must be a whole number from 1 to 100"):
        read_items([{**PAIR, "takes": takes}], select_character="man")


def test_the_same_swap_twice_is_still_refused_and_so_is_an_id_that_a_take_has() -> None:
    said = refusal(HEAD + ROW + ROW.replace("a,", "b,", 1))
    assert "line 3: it is the same swap as line 2; it would be paid for twice" in said
    items = [{**PAIR, "id": "a", "takes": 2}, {**PAIR, "select_character": "x", "id": "a-2"}]
    with pytest.raises(InvalidRequestError, match="item 1: it is the same id as item 0; it would be paid"):
        read_items(items, select_character="man")


def test_further_takes_of_a_swap_are_ordered_without_those_before() -> None:
    items = [{**PAIR, "id": "a", "first_take": 2}, {**PAIR, "id": "b", "first_take": "4", "takes": 2}, PAIR]
    assert [(swap.id, swap.take) for swap in read_items(items, select_character="man")] == [
        *(("a", 2), ("b-1", 4), ("b-2", 5), (None, 1))
    ]
    with pytest.raises(InvalidRequestError, match="item 2: it is the same swap as item 1; it would be paid"):
        read_items([items[0], items[1], {**PAIR, "first_take": 3, "takes": 2}], select_character="man")


def test_very_many_takes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_segmind.api.manifest.MAX_SWAPS", 5)
    with pytest.raises(InvalidRequestError, match="item 1: there are more than 5 swaps: divide the batch"):
        read_items([{**PAIR, "takes": 3}, {**PAIR, "select_character": "x", "takes": 3}, {}], select_character="man")


@pytest.mark.parametrize("takes", ["2", " 2 ", "2.0", '"2,0"', "002", "2.00"])
def test_takes_may_be_written_as_spreadsheets_write_numbers(takes: str) -> None:
    assert len(read(f"takes,{HEAD}{takes},{ROW}")) == 2
    assert len(read_items([{**PAIR, "takes": takes.strip('"')}], select_character="x")) == 2


@pytest.mark.parametrize("value", ["", "nan", None, float("nan"), "NULL"])
def test_takes_that_are_missing_are_one(value: object) -> None:
    assert len(read_items([{**PAIR, "takes": value}], select_character="x")) == 1
