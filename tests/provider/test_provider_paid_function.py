"""A function under @task.body_swap that breaks or returns something else once something is paid for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.compat import (
    AirflowFailException,
    TaskDeferred,
)
from airflow_provider_segmind.emulator import Emulator, Fault
from tests.provider.batches import at_once, charged
from tests.provider.paid import ids, logged, retryable
from tests.provider.test_provider_decorator import Tried, pictures

__all__ = ["at_once", "logged"]


class TestFunction:
    @pytest.mark.parametrize("then", [None, {}, [], {"character_image": "https://a.example/a.png"}])
    @pytest.mark.parametrize("many", [False, True])
    def test_a_function_that_returns_no_swap_once_something_is_paid_is_for_a_retry(
        self, emulator: Emulator, tmp_path: Path, many: bool, then: object
    ) -> None:
        emulator.set(job_seconds=60)
        returned: list[Any] = [[pictures(emulator)] if many else pictures(emulator)]
        tried = Tried(lambda: returned[0], results_uri=str(tmp_path / "results.jsonl"))
        with pytest.raises(TaskDeferred):
            tried.start()
        right, returned[0] = returned[0], then
        said = retryable(tried.attempt)
        assert ids(emulator)[0] in said
        assert "Nothing was ordered." not in said
        returned[0] = right
        emulator.finish_jobs()
        tried.attempt()
        assert len(emulator.charges) == 1

    @pytest.mark.parametrize("then", [None, [], "a text"])
    def test_what_was_being_sent_is_looked_up_and_named_though_the_function_returns_no_list_now(
        self, emulator: Emulator, tmp_path: Path, then: object
    ) -> None:
        emulator.set(job_seconds=0)
        full = [{**pictures(emulator), "select_character": f"number {number}"} for number in range(20)]
        returned: list[Any] = [full]
        tried = Tried(lambda: returned[0], results_uri=str(tmp_path / "results.jsonl"))
        tried.store.broken_after = 5
        with pytest.raises((SegmindError, TaskDeferred, RuntimeError)):
            tried.start()
        tried.store.broken_after = None
        returned[0] = then
        said = retryable(tried.attempt)
        assert emulator.charges
        assert all(request_id in said for request_id in ids(emulator))
        returned[0] = full
        assert tried.attempt()["completed"] == 20
        assert charged(emulator) == [1] * 20

    def test_a_function_that_breaks_keeps_its_own_error_and_the_log_names_what_is_paid_for(
        self, emulator: Emulator, caplog: pytest.LogCaptureFixture
    ) -> None:
        emulator.set(job_seconds=60)

        def function() -> Any:
            if tried.calls > 1:
                raise OSError("the listing is away")
            return pictures(emulator)

        tried = Tried(function)
        with pytest.raises(TaskDeferred):
            tried.start()
        caplog.clear()
        with pytest.raises(OSError, match="the listing is away"):
            tried.attempt()
        assert ids(emulator)[0] in caplog.text

    def test_what_was_being_sent_is_looked_up_before_other_inputs_are_refused(self, emulator: Emulator) -> None:
        emulator.set(job_seconds=0, history=False)
        emulator.script(Fault("drop-after"))
        tried = Tried(lambda: pictures(emulator, min(tried.calls, 2)))
        with pytest.raises(AirflowFailException):
            tried.attempt()
        emulator.set(history=True)
        with pytest.raises(AirflowFailException, match="ordered something else") as error:
            tried.attempt()
        assert ids(emulator)[0] in str(error.value)
        assert len(emulator.charges) == 1
