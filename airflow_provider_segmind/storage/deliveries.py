"""Pictures to store: those of one finished job, of a list of jobs, or of a whole batch's manifest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.models import Output
from airflow_provider_segmind.api.results import is_image, read_prepared
from airflow_provider_segmind.api.uris import public_uri, shown
from airflow_provider_segmind.api.workflows import BODY_SWAP_INPUTS
from airflow_provider_segmind.batch.files import is_good, read_lines

_SAID = ("poll_url", "workflow", "submitted_at", "seconds", "id", "consent_reference")
_ADVICE = "give what a sensor, BodySwapOperator or BodySwapBatchOperator returned, a list of results, or the URI of a"


@dataclass(frozen=True)
class Delivery:
    """A finished job with its pictures."""

    request_id: str
    row: int  # its position in the list or batch, from 0
    pictures: tuple[Output, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)  # its origin, for the sidecar


@dataclass(frozen=True)
class Deliveries:
    """All jobs that one task stores, in the given order."""

    jobs: tuple[Delivery, ...]
    manifest: str | None = None  # URI of the results manifest, if they come from one
    without_picture: int = 0  # swaps in the manifest
    dag_ids: frozenset[Any] = frozenset()  # the DAGs that ordered its swaps, according to the manifest


def read_deliveries(results: Any) -> Deliveries:
    """Read the jobs to store from a result, a list of results, a batch's summary, or the URI of its manifest."""
    if isinstance(results, Mapping) and "outputs" not in results and isinstance(results.get("results_uri"), str):
        results = results["results_uri"]
    if isinstance(results, str) and results.strip():
        return _of_manifest(results.strip())
    found = [results] if isinstance(results, Mapping) else results
    if isinstance(found, str | bytes) or not hasattr(found, "__iter__"):
        raise InvalidRequestError(f"results is {shown(results)}: {_ADVICE} manifest.")
    return Deliveries(tuple(_of_results(found)))


def _of_results(results: Iterable[Any]) -> Iterator[Delivery]:
    for row, result in enumerate(results):
        where = f"results: entry {row}"
        delivery = _delivery(where, row, result)
        if not delivery.pictures:
            raise InvalidRequestError(
                f"{where} has no output of type image, so there is nothing to store: {_ADVICE} manifest.",
                request_id=delivery.request_id,
            )
        yield delivery


def _of_manifest(uri: str) -> Deliveries:
    jobs, without, owners = [], 0, set()
    for number, _, said in read_lines("results", uri):
        where = f"results {shown(uri)!r}, line {number}"
        if said is None or "status" not in said:
            raise InvalidRequestError(
                f"{where}: it is no result of a swap: {_ADVICE} manifest that BodySwapBatchOperator wrote."
            )
        owners.add(str(said["dag_id"]) if said.get("dag_id") else None)
        if is_good(said):
            jobs.append(_delivery(where, number - 1, said))
        else:
            without += 1
    if not jobs and not without:
        raise InvalidRequestError(
            f"results {shown(uri)!r} is empty: {_ADVICE} manifest that BodySwapBatchOperator wrote."
        )
    return Deliveries(tuple(jobs), uri, without, frozenset(owners))


def _delivery(where: str, row: int, result: Any) -> Delivery:
    if not isinstance(result, Mapping) or not result.get("request_id") or not isinstance(result.get("outputs"), list):
        raise InvalidRequestError(
            f"{where} is a {type(result).__name__}, which has no request_id and outputs: {_ADVICE} manifest."
        )
    request_id = str(result["request_id"])
    return Delivery(request_id, row, tuple(_pictures(where, request_id, result["outputs"])), _facts(result))


def _pictures(where: str, request_id: str, outputs: list[Any]) -> Iterator[Output]:
    for entry in outputs:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("url"), str):
            raise InvalidRequestError(
                f"{where}: an output has no url (it is a {type(entry).__name__}): {_ADVICE} manifest.",
                request_id=request_id,
            )
        output = Output(str(entry.get("keyname") or "output"), str(entry.get("type") or ""), entry["url"])
        if is_image(output):
            yield output


def _facts(result: Mapping[str, Any]) -> dict[str, Any]:
    facts = {name: result.get(name) for name in _SAID if result.get(name) is not None}
    inputs = {name: _public(result[name]) for name in BODY_SWAP_INPUTS if result.get(name) is not None}
    prepared = read_prepared(result.get("prepared"))
    return {**facts, **({"inputs": inputs} if inputs else {}), **({"prepared": prepared} if prepared else {})}


def _public(value: Any) -> Any:
    """Return an input; if it is a URL, without its signature."""
    return public_uri(value) if isinstance(value, str) and "://" in value else value
