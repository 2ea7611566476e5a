"""Objects of the memory are created once, on every storage that may keep one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api.errors import InvalidRequestError, TransportError
from airflow_provider_segmind.api.memory import Create, Read, Replace, Size
from airflow_provider_segmind.files import objects
from airflow_provider_segmind.memory.store import Store
from tests.provider.faulty_s3 import PASSING, faulty_s3
from tests.provider.s3 import s3_bucket


@pytest.fixture(params=["local", "s3"])
def memory(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    if request.param == "local":
        yield Store(f"{tmp_path}/memory")
        return
    with s3_bucket(monkeypatch) as bucket:
        yield Store(f"s3://{bucket.name}/team/memory")


def test_an_object_is_created_only_once(memory: Store) -> None:
    assert memory.do(Create("a/b.json", b"first")) is True
    assert memory.do(Create("a/b.json", b"second")) is False
    assert memory.do(Read("a/b.json")) == b"first"


def test_of_many_at_once_one_creates_it(memory: Store) -> None:
    memory.check()
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda number: memory.do(Create("x.json", b"%d" % number)), range(24)))
    assert won.count(True) == 1
    assert memory.do(Read("x.json")) == b"%d" % won.index(True)


def test_what_is_not_there_is_none_and_what_is_replaced_is_new(memory: Store) -> None:
    assert memory.do(Read("none.json")) is None
    assert memory.do(Size(f"{memory.root}/none.png")) is None
    for data in (b"one", b"two", b"three"):
        memory.do(Replace("some.json", data))
        assert memory.do(Read("some.json")) == data
        assert memory.do(Size(f"{memory.root}/some.json")) == len(data)


def test_names_are_those_of_all_objects_of_a_folder(memory: Store) -> None:
    assert list(memory.names("swaps")) == []
    for name in ("swaps/aa/1.json", "swaps/bb/2.json", "other/3.json"):
        memory.do(Create(name, b"x"))
    assert sorted(memory.names("swaps")) == ["swaps/aa/1.json", "swaps/bb/2.json"]
    memory.delete("swaps/aa/1.json")
    memory.delete("swaps/aa/1.json")
    assert list(memory.names("swaps")) == ["swaps/bb/2.json"]
    assert memory.do(Size(f"{memory.root}/swaps/aa/1.json")) is None


def test_steps_run_alike_on_a_worker_and_in_a_triggerer(memory: Store) -> None:
    def steps(name: str) -> Any:
        assert (yield Create(name, b"1"))
        return (yield Read(name))

    assert memory.run(steps("one")) == b"1"
    assert asyncio.run(memory.arun(steps("two"))) == b"1"


def test_a_storage_that_cannot_create_once_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "has_fs", lambda scheme: True)  # as with a provider that brings such a storage
    with pytest.raises(InvalidRequestError, match=r"memory://swaps.*cannot create an object only once.* S3, Google"):
        Store("memory://swaps").do(Read("x"))


def test_a_server_that_overwrites_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        faulty_s3(monkeypatch),
        pytest.raises(InvalidRequestError, match=r"whose server overwrites .* newer server"),
    ):
        Store("s3://faulty@bucket/memory").do(Read("x"))


@pytest.mark.parametrize("kind", PASSING)
def test_a_storage_that_fails_is_asked_again_and_then_left_to_a_retry(
    monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    pauses: list[float] = []
    with faulty_s3(monkeypatch):
        memory = Store(f"s3://faulty@bucket/{kind}")
        with pytest.raises(TransportError, match=r"\[segmind\] memory .* and a retry tries again"):
            memory.do(Replace("x", b"1"), pauses.append)
    assert pauses == [0.5, 2.0, 8.0]
