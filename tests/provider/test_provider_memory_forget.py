"""What is forgotten stays forgotten, and what cannot be read is named rather than passed over."""

from __future__ import annotations

import urllib.request
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api import rescue as needs
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.files import download
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.memory import copies, swaps
from airflow_provider_segmind.memory.__main__ import main
from airflow_provider_segmind.memory.forget import digests_of, forget
from airflow_provider_segmind.memory.rescue import rescue_all
from airflow_provider_segmind.memory.store import the_memory
from tests.provider.remembering import in_run, memory, pictures, submit, swap

__all__ = ["memory"]


@pytest.fixture(autouse=True)
def old_orders(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "")  # as main() would set it, for the other tests
    monkeypatch.setattr(needs, "OLD", 0.0)
    monkeypatch.setattr(download, "Limits", partial(download.Limits, pauses=()))


def left(memory: Path) -> list[str]:
    folders = ("swaps", "ends", "requests", "pictures")
    return [str(path) for folder in folders for path in (memory / folder).rglob("*") if path.is_file()]


@pytest.mark.parametrize("seen_by", ["a task", "a rescue"])
def test_a_picture_that_is_fetched_while_it_is_forgotten_is_deleted_again(
    emulator: Emulator, memory: Path, monkeypatch: pytest.MonkeyPatch, seen_by: str
) -> None:
    handle, hook = submit(emulator, "a"), SegmindHook()
    if seen_by == "a rescue":  # of a picture that could not be copied when its job ended
        emulator.script(Fault("500", on="file", times=None))
        swaps.keep(hook, hook.get_job(handle["poll_url"]))
        emulator.clear_faults()

    def forgotten_meanwhile(hook: SegmindHook, url: str) -> Any:
        forget(the_memory(), digests_of(hook, emulator.sample("person")))
        return download.download(hook, url)

    monkeypatch.setattr(copies, "download", forgotten_meanwhile)
    if seen_by == "a task":
        swaps.keep(hook, hook.get_job(handle["poll_url"]))
    else:
        rescue_all(the_memory(), "segmind_default")
    assert left(memory) == []


def test_an_order_that_is_damaged_is_named_and_left_with_all_others_of_its_swap(
    emulator: Emulator, memory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    in_run(swap(emulator), "a")
    in_run(swap(emulator, reuse="refresh"), "b")
    in_run(swap(emulator, **pictures(emulator, 1)), "c")
    person = tmp_path / "person.png"
    person.write_bytes(urllib.request.urlopen(emulator.sample("person")).read())  # noqa: S310 - the emulator's own
    (damaged,) = (memory / "swaps").rglob("*.2.json")
    damaged.write_bytes(damaged.read_bytes()[:-40])
    capsys.readouterr()
    assert main(["forget", str(person)]) == 2
    said = capsys.readouterr().out
    assert "removed 1 orders and 1 stored pictures\n" in said
    assert f"left, since it is damaged: {damaged.relative_to(memory)}. It may be of this picture. Put a good" in said
    assert len(list((memory / "swaps").rglob("*.json"))) == 2
    for path in memory.rglob(f"{damaged.name.removesuffix('json')}*"):
        path.unlink()
    assert main(["forget", str(person)]) == 0
    assert [name for name in left(memory) if "/requests/" not in name] == []
