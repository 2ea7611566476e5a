"""Check an order before it can bill: workflow ids, and the inputs of body swap."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.uris import quoted, shown
from airflow_provider_segmind.api.urls import is_local, is_loopback, is_private, parse_url, why_unreadable

BODY_SWAP_ID = "678b67a76426baad7e539337"
BODY_SWAP_WORKFLOW = f"{BODY_SWAP_ID}-v4"
"""Segmind's AI Body Swap. ``-v4`` is the version of the workflow, not of the API."""
PRICE = 0.2687
"""US dollars for a swap, as the workflow's page says."""

BODY_SWAP_IMAGES = ("character_image", "reference_character_image")
BODY_SWAP_INPUTS = (*BODY_SWAP_IMAGES, "select_character")
SWAP_FIELDS = (*BODY_SWAP_INPUTS, "consent_reference")
"""What a function of ``@task.body_swap`` may return of one swap."""

# What is no address, though it looks like one.
_QUOTES = "\"'`<\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb\u2039\u203a\uff02\uff07"
_MISSPELLED = re.compile(r"(?:https?(?:/+|;/*|:(?!//))|(?!https?://)[htps]{3,7}://)", re.IGNORECASE)
_BARE_HOST = re.compile(r"(?:www\.|//(?=[\w.-]+\.[a-z]{2,}(?:[:/]|\Z)))[\w.-]+", re.IGNORECASE)
_WINDOWS = re.compile(r"(?:file:/{2,3})?[A-Za-z]:[\\/](?!/)|\\\\[^\\]", re.IGNORECASE)
_NOTHING = frozenset(
    (
        *("", "null", "none", "nil", "nan", "nat", "na", "n/a", "n.a", "n", "undefined", "object object", "blank"),
        *("empty", "missing", "not available", "not applicable", "tbd", "tba", "todo", "ditto", "same"),
        *("same as above", "no", "false"),
    )
)
"""What databases, programs and people write where they have nothing to say."""
_AROUND = " \t\r\n\u00a0()[]<>{}\\#\"'.*_-"
_TWICE = re.compile("\u00c3[\u00a1-\u00b9\u00bc-\u00bf]|\u00e2\u20ac|\u00d0[\u00b0-\u00bf]")
"""UTF-8 that was read as cp1252, such as the two signs of \u00fc; no language has these side by side."""
# Behind a slash or an equals sign, an address is a part of another: of a service that scales pictures, say.
_SECOND = re.compile(r"[,;|\s][\"'\s]*(?:https?|s3|gs|abfss?|wasbs?|file)://", re.IGNORECASE)
_WRAPPED = re.compile(r"(?![\w+.-]+:/|/|~).*[\"'(\[<>\s]https?://", re.IGNORECASE | re.DOTALL)
_WORKFLOW = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9_-]{0,99}-v[0-9]{1,4}|v2/[A-Za-z0-9][A-Za-z0-9_-]{0,99})\Z")


def check_workflow(workflow: object) -> str:
    """
    Return a valid workflow id, such as ``678b67a76426baad7e539337-v4`` or ``v2/some-slug``.

    :raises InvalidRequestError: if it is invalid; nothing was sent.
    """
    if isinstance(workflow, str) and _WORKFLOW.match(workflow.strip()):
        return workflow.strip()
    raise InvalidRequestError(
        f"workflow {workflow!r} is not a workflow id: write the last part of its API address, "
        f"id and version, like {BODY_SWAP_WORKFLOW!r}."
    )


def check_inputs(workflow: str, inputs: object, *, base_url: str) -> dict[str, Any]:
    """
    Return the inputs if they can be ordered.

    The service replaces a missing or misspelled input of body swap by its sample picture, and bills. So body swap
    requires both images and refuses unknown names.

    :param base_url: the connection's base URL; an emulator may use pictures on its own host or this machine.
    :raises InvalidRequestError: if they are invalid; nothing was sent.
    """
    if not isinstance(inputs, Mapping) or not all(isinstance(name, str) for name in inputs):
        raise InvalidRequestError(f"inputs must be a dict with the workflow's input names, not {shown(inputs)}.")
    checked = dict(inputs)
    try:
        json.dumps(checked, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(f"inputs cannot be written as JSON ({error}): use texts and numbers.") from None
    if is_body_swap(workflow):
        _check_body_swap(checked, base_url)
    return checked


def is_body_swap(workflow: str) -> bool:
    """Whether this is AI Body Swap, in any version."""
    return workflow.startswith(f"{BODY_SWAP_ID}-v")


def is_written(value: object) -> bool:
    """Return whether a value stands as the DAG's author wrote it: a text without a template."""
    return isinstance(value, str) and "{{" not in value and "{%" not in value


def is_nothing(text: str) -> bool:
    """Return whether a text stands for a missing value: NULL, N/A, -, a ditto mark, a template's None."""
    return text.strip(_AROUND).casefold() in _NOTHING or not any(map(str.isalnum, text))


def check_image(name: str, value: object) -> str:
    """
    Return the image's URI, if it can be one.

    :raises InvalidRequestError: if it is empty, since the service would use its sample picture and bill; or if it is
        no address, such as one in quotation marks.
    """
    text = value.strip() if isinstance(value, str) else ""
    if isinstance(value, (Mapping, list, tuple)) and value:
        raise InvalidRequestError(
            f"{name} is a {type(value).__name__}, not a text: write the picture's address alone, such as its url."
        )
    if is_nothing(text):
        said = value if value is None or isinstance(value, str) else type(value).__name__
        raise InvalidRequestError(
            f"{name} is empty ({said!r}): both images of a body swap are required; without one Segmind would "
            "swap its own sample picture and bill for it."
        )
    why = _why_no_address(text)
    if why is not None:
        raise InvalidRequestError(f"{name} {shown(text)!r} {why}")
    return text


def check_image_url(name: str, value: object, base_url: str) -> str:
    """
    Return the image's URL if Segmind can read it.

    :param base_url: the connection's base URL; an emulator may use pictures on its own host or this machine.
    :raises InvalidRequestError: if Segmind cannot.
    """
    url = check_image(name, value)
    parts = parse_url(url)
    local = parts is not None and is_local(base_url)
    if parts is not None and parts.scheme == "https" and (local or not is_private(parts.hostname or "")):
        return url
    if parts is not None and local:
        host = parts.hostname or ""
        if is_loopback(host) or host == urlsplit(base_url).hostname:
            return url
    raise InvalidRequestError(f"{name} {shown(url)!r} {why_unreadable(url)}")


def check_character(value: object) -> str:
    """
    Return the description of the person to replace.

    :raises InvalidRequestError: if it is empty, stands for a missing value, or has lost letters.
    """
    text = value.strip() if isinstance(value, str) else ""
    advice = "say in words who in the scene is replaced, like 'woman' or 'the man in blue'"
    if is_nothing(text):
        more = ", or leave it empty in a manifest to use the default" if text else ""
        raise InvalidRequestError(f"select_character is {quoted(value)}: {advice}{more}.")
    if "\N{REPLACEMENT CHARACTER}" in text or _TWICE.search(text):
        raise InvalidRequestError(
            f"select_character is {quoted(text)}, in which letters were lost on the way: write it anew, or export the "
            "table again as CSV UTF-8."
        )
    return text


def tag_scene(inputs: Mapping[str, Any], tag: str) -> dict[str, Any]:
    """
    Return the inputs of a body swap with a tag in the fragment of the scene's URL.

    A download does not send the fragment, so the picture stays the same. But the request history shows the inputs as
    sent, so the tag tells two orders of the same picture apart.
    """
    url = str(inputs[BODY_SWAP_IMAGES[0]])
    return {**inputs, BODY_SWAP_IMAGES[0]: f"{url}{'&' if '#' in url else '#'}order={tag}"}


def fingerprint(workflow: str, inputs: Mapping[str, Any]) -> str:
    """Return a short digest of an order, independent of the order of its inputs."""
    text = json.dumps([workflow, dict(inputs)], sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _check_body_swap(inputs: dict[str, Any], base_url: str) -> None:
    unknown = sorted(set(inputs) - set(BODY_SWAP_INPUTS))
    if unknown:
        raise InvalidRequestError(
            f"body swap has no input {', '.join(map(repr, unknown))}: it takes {', '.join(BODY_SWAP_INPUTS)}. "
            "Segmind would ignore it, swap a sample picture instead, and bill for it."
        )
    for name in BODY_SWAP_IMAGES:
        inputs[name] = check_image_url(name, inputs.get(name), base_url)
    if "select_character" in inputs:
        inputs["select_character"] = check_character(inputs["select_character"])


@lru_cache(maxsize=1024)  # the swaps of a batch share pictures
def _why_no_address(text: str) -> str | None:
    """Return why a text that looks like an address is none, and the remedy; ``None`` if it may be a path or URI."""
    odd = next((sign for sign in (text[0], text[-1]) if unicodedata.category(sign) == "Cf"), None)
    if odd:
        return f"begins or ends with the invisible character U+{ord(odd):04X}: type it anew, or paste it as plain text."
    if text[0] in _QUOTES or (text.lower().startswith("http") and text[-1] in f"{_QUOTES}>"):
        return "is in quotation marks or brackets: write it without them."
    if _WINDOWS.match(text):
        return (
            "is a path of Windows, which no worker of Airflow can read: copy the file to object storage or to a folder "
            "that all workers have, and give its URI or path there."
        )
    if _MISSPELLED.match(text):
        return "begins with a misspelled https://: correct it."
    if _WRAPPED.match(text):
        return "is more than an address: write only the part from https:// to the end of the address."
    if _SECOND.search(text):
        return "holds more than one address: give one, and each other picture in a row or an order of its own."
    if text.lower().startswith("http") and "&amp;" in text:
        return "has &amp; in it, which is how a web page writes &: write & instead."
    if _BARE_HOST.match(text):
        return "is an address of the Web without its scheme: write https:// before it."
    return None
