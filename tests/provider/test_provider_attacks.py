"""What a third attack found outside of the core: each test failed before it was mended."""

from __future__ import annotations

import json
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api.errors import AuthenticationError, CreditsError, InvalidRequestError, SegmindError
from airflow_provider_segmind.api.models import Settings
from airflow_provider_segmind.api.orders import Record, State
from airflow_provider_segmind.api.workflows import fingerprint
from airflow_provider_segmind.batch.files import BatchFiles, summary_of
from airflow_provider_segmind.compat import AirflowFailException
from airflow_provider_segmind.emulator import Emulator, Fault
from airflow_provider_segmind.gallery.app import _facts
from airflow_provider_segmind.orders.place import Order, moment, place, place_error
from airflow_provider_segmind.quality import reading
from airflow_provider_segmind.waiting.shared import SharedConnection
from tests.provider.running import TaskInstance, context
from tests.provider.test_provider_batch import Batch, charged, swaps
from tests.provider.tries import Store


def test_a_row_that_says_failed_is_not_paid_for_again_before_segmind_says_so(
    emulator: Emulator, tmp_path: Path
) -> None:
    """Others may write beside the results."""
    emulator.set(job_seconds=0)
    emulator.script(Fault("will-fail", after=3))  # one really fails, so there is a retry
    batch = Batch(emulator, tmp_path, swaps=swaps(emulator, 10))
    with pytest.raises(SegmindError, match="9 COMPLETED, 1 FAILED"):
        batch.attempt()
    (folder,) = next(iter(tmp_path.rglob("*.parts"))).iterdir()
    rows = [json.loads(line) for line in (folder / "swaps.jsonl").read_text().splitlines()]
    forged = [
        {"index": row["index"], "request_id": row["request_id"], "status": "FAILED", "error": "x"} for row in rows
    ]
    (folder / "part-99999999999999999999.jsonl").write_text("".join(json.dumps(row) + "\n" for row in forged))
    assert batch.attempt()["completed"] == 10
    assert sorted(charged(emulator)) == [1] * 9 + [2]


def test_a_status_that_nobody_writes_is_in_no_summary(tmp_path: Path) -> None:
    files = BatchFiles(f"{tmp_path}/r.jsonl", "b")
    files.write_part([{"index": 0, "request_id": "r", "status": "\0" + "x" * 2000, "error": None}])
    assert summary_of(files.read_parts().values(), files.results, 0.25)["by_status"] == {}


def test_a_refused_second_order_leaves_the_first_to_a_retry_and_names_it() -> None:
    given, at = {"a": "https://a.example/1"}, time.time() - 60
    store = Store()
    store.set("segmind_order", Record(State.INTENT, fingerprint("w-v1", given), 1, at, "w-v1").to_json())
    ctx = {**context(TaskInstance(max_tries=1, try_number=2)), "task_state_store": store}

    class Refusing:
        def submit(self, workflow: str, inputs: Any, *, before: Any) -> None:
            before()
            raise CreditsError("no credits", status=406)

    hook: Any = Refusing()
    with pytest.raises(CreditsError) as raised:
        place(ctx, hook, Order("w-v1", given, lambda earlier: given, "resubmit"))  # type: ignore[arg-type]
    ends = place_error(ctx, raised.value)  # type: ignore[arg-type]
    assert not isinstance(ends, AirflowFailException)
    assert moment(at) in str(ends)


@pytest.mark.parametrize(
    "error", [AuthenticationError("no such connection"), InvalidRequestError("verify is '/no/such'")]
)
async def test_waits_use_the_connection_that_they_have_while_it_cannot_be_looked_up(error: SegmindError) -> None:
    good = Settings.from_connection(host=None, password="SG_0123456789abcdef")
    said: list[Any] = [good, error]

    async def load(conn_id: str) -> Settings:
        one = said.pop(0)
        if isinstance(one, Exception):
            raise one
        found: Settings = one
        return found

    connection = SharedConnection("segmind_default", load)
    try:
        first = await connection.client()
        connection._good_until = 0.0
        assert await connection.client() is first
    finally:
        await connection.close()


def test_a_page_of_the_gallery_with_half_a_surrogate_pair_is_an_answer() -> None:
    assert json.loads(bytes(_facts({"label": "\ud800"}).body)) == {"label": "\ud800"}


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _png(width: int, height: int, *more: bytes) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = _chunk(b"IDAT", zlib.compress(bytes((width + 1) * height)))
    return b"".join((b"\x89PNG\r\n\x1a\n", header, *more, pixels, _chunk(b"IEND", b"")))


def test_a_picture_with_a_side_that_needs_large_tables_is_not_decoded() -> None:
    for size in ((70_000, 1), (1, 70_000)):
        with pytest.raises(reading.TooManyPixelsError, match="a side may have 65535"):
            reading.thumbnail(_png(*size), 64)


def test_a_colour_profile_that_is_too_large_does_not_keep_a_picture_from_being_read() -> None:
    profile = _chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(3 * 2**20)))
    assert reading.thumbnail(_png(64, 48, profile), 64).size == (64, 48)
