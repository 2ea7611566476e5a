"""A finished job becomes plain values, or an error that loses nothing that was paid for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_provider_segmind.api.errors import InvalidRequestError, JobFailedError, ServiceError
from airflow_provider_segmind.api.models import Job, Output
from airflow_provider_segmind.api.results import handle_of, read_handle, read_prepared, result_of

MASK = Output("mask", "image", "https://images.segmind.com/mask.png")
SWAP = Output("body_swap_image", "Image", "https://images.segmind.com/swap.png")
TEXT = Output("caption", "text", "a woman in red")


def job(*outputs: Output, status: str = "COMPLETED", error: str = "") -> Job:
    return Job("abc", "https://api.segmind.com/workflows/request/abc", status, outputs, error)


def test_the_first_image_is_the_image() -> None:
    assert result_of(job(TEXT, SWAP, MASK), needs_image=True) == {
        "request_id": "abc",
        "poll_url": "https://api.segmind.com/workflows/request/abc",
        "status": "COMPLETED",
        "outputs": [
            {"keyname": "caption", "type": "text", "url": "a woman in red"},
            {"keyname": "body_swap_image", "type": "Image", "url": "https://images.segmind.com/swap.png"},
            {"keyname": "mask", "type": "image", "url": "https://images.segmind.com/mask.png"},
        ],
        "image_url": "https://images.segmind.com/swap.png",
    }


def test_an_output_can_be_named() -> None:
    assert result_of(job(SWAP, MASK), output_key="mask")["image_url"] == MASK.url


def test_a_name_that_is_not_there_lists_what_is_and_was_paid_for() -> None:
    with pytest.raises(InvalidRequestError, match=r"no output 'maks'.*body_swap_image \(Image\): https://.*swap\.png"):
        result_of(job(SWAP), output_key="maks")
    with pytest.raises(InvalidRequestError, match="none"):
        result_of(job(), output_key="mask")


def test_a_picture_without_a_type_is_known_by_its_name() -> None:
    assert result_of(job(Output("x", "", "https://images.segmind.com/a.WEBP?x=1")))["image_url"] is not None
    assert result_of(job(Output("x", "", "https://images.segmind.com/a.json")))["image_url"] is None


def test_a_swap_without_a_picture_is_an_error_and_can_be_asked_for_again() -> None:
    assert result_of(job(TEXT))["image_url"] is None
    with pytest.raises(ServiceError, match="paid for, but none of its outputs is an image: caption") as error:
        result_of(job(TEXT), needs_image=True)
    assert error.value.retryable
    with pytest.raises(ServiceError, match="no type"):
        result_of(job(Output("x", "", "y")), needs_image=True)


def test_a_failed_job_is_an_error_with_the_services_reason() -> None:
    with pytest.raises(JobFailedError, match=r"FAILED\. .* Segmind said: no face \(request abc\)"):
        result_of(job(status="FAILED", error="no face"))
    with pytest.raises(JobFailedError, match="no reason given"):
        result_of(job(status="FAILED"))


def test_a_handle_is_read_as_it_was_left() -> None:
    handle = handle_of(
        Job("abc", "https://api.segmind.com/workflows/request/abc", "QUEUED", workflow="swap-v1", submitted_at=1.5e9)
    )
    assert read_handle(handle) == handle


@pytest.mark.parametrize("at", [True, "now", -1.0, 1e12, None])
def test_what_is_none_of_a_jobs_is_not_taken_from_a_handle(at: object) -> None:
    left = {"request_id": None, "poll_url": "u", "workflow": 7, "submitted_at": at}
    assert read_handle(left) == {**left, "workflow": None, "submitted_at": None}


def test_what_was_done_to_pictures_is_in_handle_and_result_if_anything_was() -> None:
    job = Job("r", "https://a.example/r", "COMPLETED", (Output("k", "image", "https://a.example/1.png"),))
    assert "prepared" not in {**handle_of(job), **result_of(job)}
    done = replace(job, prepared={"character_image": ("upright", "sRGB")})
    for said in (handle_of(done), result_of(done)):
        assert said["prepared"] == {"character_image": ["upright", "sRGB"]}
        assert read_prepared(said["prepared"]) == said["prepared"]


@pytest.mark.parametrize("said", [None, "upright", ["upright"], {"character_image": "upright"}, {"else": ["upright"]}])
def test_what_says_nothing_about_pictures_is_read_as_nothing(said: object) -> None:
    assert read_prepared(said) == {}
    assert len(str(read_prepared({"character_image": ["x" * 9999] * 999}))) < 5000
