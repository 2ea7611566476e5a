"""Services that differ from what is believed: each is a change of a cassette, which an emulator then imitates."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from airflow_provider_segmind.emulator.like import JSON

Cassette = dict[str, Any]
Entry = dict[str, Any]


def entries(said: Cassette, *steps: str) -> Iterator[Entry]:
    """Yield the requests of these names."""
    return (one for one in said["entries"] if one["step"] in steps)


def only(said: Cassette, step: str) -> Entry:
    """Return the last request of a name."""
    return list(entries(said, step))[-1]


def pending(said: Cassette) -> list[Entry]:
    """Return the polls that found the job running."""
    return [one for one in entries(said, "poll") if one["body"].get("status") not in (None, "COMPLETED")]


def end(said: Cassette) -> Entry:
    """Return the poll that found it ended."""
    return next(one for one in entries(said, "poll") if one["body"].get("status") == "COMPLETED")


def output(said: Cassette) -> Entry:
    """Return the job's output."""
    given: Entry = end(said)["body"]["output"]
    found: Entry = given[JSON][0] if JSON in given else given
    return found


def rows(said: Cassette) -> list[Entry]:
    """Return the rows of the history that are the order's."""
    return [row for one in entries(said, "history-order") for row in one["body"]["data"]]


def auth(said: Cassette) -> None:
    only(said, "bearer").update(status=401, body={"error": "Unauthorized"})


def wrong_key(said: Cassette) -> None:
    only(said, "wrong-key").update(status=403)


def balance(said: Cassette) -> None:
    for one in entries(said, "bearer", "x-api-key"):
        one["body"] = {"balance": "<number>"}


def unknown_job(said: Cassette) -> None:
    only(said, "unknown-job").update(status=400, body={"error": "Bad request"})


def unknown_workflow(said: Cassette) -> None:
    only(said, "unknown-workflow").update(status=400)


def upload_host(said: Cassette) -> None:
    body = only(said, "upload")["body"]
    body["file_urls"] = [url.replace("127.0.0.1", "uploads.example.com") for url in body["file_urls"]]


def upload_url(said: Cassette) -> None:
    body = only(said, "upload")["body"]
    body["file_urls"] = [f"{url}?X-Amz-Signature=…&X-Amz-Expires=…" for url in body["file_urls"]]


def upload_name(said: Cassette) -> None:
    body = only(said, "upload")["body"]
    body["links"] = body.pop("file_urls")


def limits(said: Cassette) -> None:
    for one in entries(said, "bearer", "x-api-key", "upload", "order", "poll"):
        one["headers"] |= {"x-ratelimit-limit": "60", "x-ratelimit-remaining": "55"}
        one |= {"last": {**one["headers"]}, "counted": one.get("times", 1)}


def history_gone(said: Cassette) -> None:
    only(said, "history").update(status=404, body={"error": "Not found"})
    said["entries"] = [one for one in said["entries"] if one["step"] != "history-order"]


def history_names(said: Cassette) -> None:
    for row in rows(said):
        row["when"] = row.pop("model_created")


def history_late(said: Cassette) -> None:
    for one in entries(said, "history-order"):
        one["at"] = max(one["at"], end(said)["at"] + 95)


def history_inputs(said: Cassette) -> None:
    for row in rows(said):
        row["request_body"]["character_image"] = "<scene without its fragment>"


def poll_host(said: Cassette) -> None:
    body = only(said, "order")["body"]
    body["poll_url"] = body["poll_url"].replace("127.0.0.1", "polls.example.com")


def first_poll(said: Cassette) -> None:
    order, first = only(said, "order"), pending(said)[0]
    unknown = {**first, "at": order["at"] + 0.1, "status": 404, "body": {"error": "Request <request> not found"}}
    said["entries"].insert(said["entries"].index(order) + 1, unknown)
    first["at"] = order["at"] + 20


def statuses(said: Cassette) -> None:
    pending(said)[0]["body"]["status"] = "IN_QUEUE"


def poll_code(said: Cassette) -> None:
    for one in pending(said):
        one["status"] = 202


def duration(said: Cassette) -> None:
    later = 600 - (end(said)["at"] - only(said, "order")["at"])
    for one in entries(said, "balance-after", "picture", "picture-later", "record", "history-order"):
        one["at"] += later if one["at"] >= end(said)["at"] else 0
    end(said)["at"] += later
    pending(said)[-1]["until"] = end(said)["at"] - 7


def output_form(said: Cassette) -> None:
    end(said)["body"]["output"] = output(said)


def keyname(said: Cassette) -> None:
    output(said)["keyname"] = "swapped"


def output_type(said: Cassette) -> None:
    output(said)["value"]["type"] = "file"


def output_host(said: Cassette) -> None:
    value = output(said)["value"]
    value["data"] = value["data"].replace("127.0.0.1", "results.example.com")


def output_url(said: Cassette) -> None:
    output(said)["value"]["data"] += "?Expires=…"


def picture(said: Cassette) -> None:
    only(said, "picture")["facts"]["format"] = "JPEG"


def record_life(said: Cassette) -> None:
    only(said, "record").update(at=end(said)["at"] + 660, status=404)


def picture_life(said: Cassette) -> None:
    only(said, "picture-later").update(at=end(said)["at"] + 1800, status=404)


def price(said: Cassette) -> None:
    only(said, "balance-after")["facts"]["spent"] = 0.5
    for row in rows(said):
        row["credits_deduction"] = 0.5


Seed = tuple[Callable[[Cassette], None], dict[str, str], str]

TOGETHER: list[Seed] = [
    (auth, {"auth": "x-api-key"}, "Set `auth_scheme` to `x-api-key`"),
    (wrong_key, {"wrong-key": "403 json"}, "set `auth_scheme`"),
    (balance, {"credits": "balance"}, "price_per_swap = 0"),
    (unknown_job, {"unknown-job": "400 json, read as ServiceError"}, "`JobExpiredError` is not raised"),
    (unknown_workflow, {"unknown-workflow": "400 json, read as InvalidRequestError"}, "check workflow ids"),
    (upload_host, {"upload-host": "localhost"}, "let machines that look at uploads reach"),
    (upload_url, {"upload-url": "X-Amz-Signature, X-Amz-Expires"}, "upload right before the order"),
    (
        limits,
        {"limit-headers": "x-ratelimit-limit: 60", "polls-count": "they do not count"},
        "set `requests_per_minute`",
    ),
    (history_names, {"history-names": "without a time"}, "cannot be recognised"),
    (history_late, {"history-order": "s after its end"}, 'never set `on_unknown_outcome="resubmit"`'),
    (history_inputs, {"history-inputs": "without the fragment"}, "Leave `[segmind] tag_orders` off"),
    (first_poll, {"first-poll": "as unknown for"}, "Up to 90 s are waited out"),
    (statuses, {"statuses": "IN_QUEUE"}, "counts as unfinished"),
    (poll_code, {"poll-code": "200, 202"}, "2xx and 422 are read"),
    (duration, {"duration": "60"}, "Set `timeout` of sensors"),
    (output_form, {"output-form": "an object"}, "report this"),
    (keyname, {"keyname": "swapped"}, "unless a DAG sets `output_key"),
    (output_type, {"output-type": "file"}, "set `output_key` of sensors"),
    (output_host, {"output-host": "localhost"}, "Let workers and triggerers"),
    (output_url, {"output-url": "Expires"}, "store results at once"),
    (picture, {"picture": "JPEG"}, "end in `.jpg`"),
    (record_life, {"record-life": "and gone 1"}, "set `[segmind] memory`"),
    (picture_life, {"picture-life": "and gone 3"}, "Store results at once"),
    (price, {"price": "$0.5000"}, "Set `[segmind] price_per_swap`"),
]
"""What is changed, what is seen, and what follows."""

ALONE: list[Seed] = [
    (upload_name, {"upload-name": "links"}, "give pictures as `https://` URLs"),
    (history_gone, {"history": "404 json"}, "for a person to settle"),
    (poll_host, {"poll-host": "localhost"}, "to `trusted_hosts`"),
]
"""Those that keep others from being seen."""
