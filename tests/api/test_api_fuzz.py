"""Whatever a service answers, reading it ends in a value or in an error of our own, soon, and shows no key."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_segmind.api import protocol
from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.history import read_history
from airflow_provider_segmind.api.manifest import read_manifest
from airflow_provider_segmind.api.models import Job, Settings
from airflow_provider_segmind.api.results import result_of
from airflow_provider_segmind.api.wire import Response

KEY = "SG_the_key_itself"
SETTINGS = Settings("https://api.segmind.com", KEY, history_url="https://history.segmind.com")
POLL_URL = "https://api.segmind.com/workflows/request/abc"

NAMES = st.sampled_from(
    [
        *("poll_url", "request_id", "status", "output", "error", "keyname", "value", "type", "credits", "free-credits"),
        *("file_urls", "urls", "detail", "message", "data", "rows", "total", "created_at", "input", KEY),
    ]
)
WORDS = st.sampled_from(
    [
        "COMPLETED",
        "FAILED",
        "QUEUED",
        "completed ",
        "",
        POLL_URL,
        "http://169.254.169.254/",
        "[]",
        "{",
        "NaN",
        KEY,
        "12",
    ]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=12)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=20
)
BODIES = st.one_of(
    st.binary(max_size=200),
    TREES.map(lambda tree: json.dumps(tree).encode()),
    # Output is often JSON in a string, and depth is what parsers are killed with.
    TREES.map(lambda tree: json.dumps({"status": "COMPLETED", "output": json.dumps(tree)}).encode()),
    st.integers(1, 5000).map(lambda deep: b"[" * deep + b"]" * deep),
    st.integers(1, 5000).map(lambda deep: b'{"output":' * deep),
)
HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "content-type", "date", "location"]), WORDS | st.text(max_size=20)
)
ANSWERS = st.builds(Response, st.integers(100, 599), HEADERS, BODIES, st.floats(0, 2e9))

READERS: dict[str, Callable[[Response], Any]] = {
    "submit": lambda answer: protocol.read_submit(SETTINGS, answer, "workflow-v4"),
    "poll": lambda answer: protocol.read_poll(SETTINGS, answer, POLL_URL),
    "credits": lambda answer: protocol.read_credits(SETTINGS, answer),
    "upload": lambda answer: protocol.read_upload(SETTINGS, answer),
    "history": lambda answer: read_history(SETTINGS, answer),
}
# The deadline is a net for what would never end; it is far from what an example takes on the slowest machine.
THOROUGH = settings(max_examples=600, deadline=60_000, suppress_health_check=[HealthCheck.too_slow])


def value_or_error(call: Callable[[], Any]) -> tuple[Any, SegmindError | None]:
    """Return what a call returns, or the error of our own that it raises; any other error ends the test."""
    try:
        return call(), None
    except SegmindError as error:
        return None, error


@THOROUGH
@given(answer=ANSWERS)
def test_any_answer_is_a_value_or_an_error_of_our_own(answer: Response) -> None:
    # All readers read each answer, since thinking of one takes far longer than reading it.
    for name, read in READERS.items():
        found, error = value_or_error(functools.partial(read, answer))
        if isinstance(found, Job) and found.done:
            result, error = value_or_error(functools.partial(result_of, found))
            json.dumps(result)
        assert KEY not in str(error), name
        assert len(str(error)) < 3000, name


# A row has few values, so each is small; trees as large as an answer would take most of the time.
CELLS = LEAVES | st.lists(LEAVES, max_size=2) | st.dictionaries(NAMES, LEAVES, max_size=2)
ROWS = st.lists(st.dictionaries(NAMES | st.sampled_from(["character_image", "id"]), CELLS, max_size=4), max_size=5)
MANIFESTS = st.one_of(
    st.binary(max_size=300),
    ROWS.map(lambda rows: "\n".join(json.dumps(row) for row in rows).encode()),
    ROWS.map(lambda rows: ",".join(map(str, rows)).encode("utf-8", "replace")),
)


@THOROUGH
@given(data=MANIFESTS)
def test_any_manifest_is_swaps_or_an_error_of_our_own(data: bytes) -> None:
    swaps, error = value_or_error(lambda: read_manifest(data, "manifest", select_character="woman"))
    assert swaps or error
    assert len(str(error)) < 5000
