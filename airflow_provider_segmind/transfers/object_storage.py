"""Keep the results of jobs in object storage, before the service deletes them after seven days."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator, Context, XComArg

from airflow_provider_segmind.api.errors import InvalidRequestError, SegmindError
from airflow_provider_segmind.api.models import Output
from airflow_provider_segmind.api.results import is_image
from airflow_provider_segmind.hooks.failures import task_error
from airflow_provider_segmind.hooks.keeping import Item, keep
from airflow_provider_segmind.hooks.names import check_name, name_of
from airflow_provider_segmind.hooks.segmind import SegmindHook

THREADS = 8


class SegmindToObjectStorageOperator(BaseOperator):
    """
    Store the pictures of one result, or of a list of them, each with a thumbnail and a sidecar.

    A file is there whole or not at all. What an earlier attempt stored is not fetched again, and other content is
    never overwritten. A result that is lost or failed does not keep the others from being stored.

    :param results: what a sensor or ``BodySwapOperator`` returned, or a list of those.
    :param destination: URI of a folder: ``s3://…``, ``gs://…``, ``abfs://…``, ``file://…`` or a path.
    :param name: path of each picture below it, without a suffix, with the fields ``{request_id}``, ``{index}``,
        ``{keyname}``, ``{id}``, ``{ds}``, ``{ts_nodash}``, ``{run_id}``, ``{dag_id}``, ``{task_id}``.
    :param details: more facts for each sidecar, such as the inputs or a reference of the consent.
    :param thumbnails: whether to store a WebP of at most 640 pixels beside each picture.
    :param segmind_conn_id: the connection; its key goes to its own hosts only.
    :return: ``request_id``, ``uri`` (of the first picture) and ``files``; a list of those for a list.
    :raises AirflowFailException: where a retry cannot help.
    :raises SegmindError: where a retry may help; it fetches only what is not stored.
    """

    template_fields: Sequence[str] = ("results", "destination", "name", "details", "segmind_conn_id")
    ui_color = "#ece8f6"

    def __init__(
        self,
        *,
        results: Mapping[str, Any] | Sequence[Mapping[str, Any]] | XComArg,
        destination: str,
        name: str = "{request_id}/{keyname}-{index}",
        details: Mapping[str, Any] | None = None,
        thumbnails: bool = True,
        segmind_conn_id: str = SegmindHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.results = results
        self.destination = destination
        self.name = name
        self.details = details
        self.thumbnails = thumbnails
        self.segmind_conn_id = segmind_conn_id

    def execute(self, context: Context) -> Any:
        """Check all names, then store what is not stored yet."""
        hook = SegmindHook(self.segmind_conn_id)
        try:
            results = _read_results(self.results)
            items = [self._items(result, context) for result in results]
            _check_distinct(item for each in items for item in each)
            _ = hook.settings  # before the threads, which would each look the connection up
        except SegmindError as error:
            raise task_error(error) from error
        with ThreadPoolExecutor(THREADS) as pool:
            outcomes = list(pool.map(lambda item: self._keep(hook, item), (item for each in items for item in each)))
        self._raise_for(outcomes)
        files = iter(outcomes)
        stored = [_row(result, [next(files) for _ in each]) for result, each in zip(results, items, strict=True)]
        return stored[0] if isinstance(self.results, Mapping) else stored

    def _keep(self, hook: SegmindHook, item: Item) -> Any:
        try:
            return keep(hook, item, thumbnail=self.thumbnails)
        except SegmindError as error:
            error.request_id = error.request_id or item.facts["request_id"]
            self.log.error("Not stored: %s: %s", type(error).__name__, error)
            return error
        except Exception as error:
            self.log.exception("Not stored: request %s", item.facts["request_id"])
            return SegmindError(
                f"{item.base} could not be stored ({type(error).__name__}: {error}): whoever manages Airflow checks "
                "the destination's connection. A retry stores it without a second bill.",
                request_id=item.facts["request_id"],
            )

    def _raise_for(self, outcomes: Sequence[Any]) -> None:
        errors = [outcome for outcome in outcomes if isinstance(outcome, SegmindError)]
        if not errors:
            return
        if len(outcomes) == 1:
            raise task_error(errors[0]) from errors[0]
        # One that a retry may help decides: the retry skips what is stored, and the others cost it one request each.
        first = next((error for error in errors if error.retryable), errors[0])
        said = (
            f"{len(errors)} of {len(outcomes)} pictures could not be stored in {self.destination}; the others are "
            f"there. {type(first).__name__}: {first}"
        )
        raise SegmindError(said) if first.retryable else AirflowFailException(said)

    def _items(self, result: Mapping[str, Any], context: Context) -> list[Item]:
        check_name(self.name)
        if not isinstance(self.destination, str) or not self.destination.strip():
            raise InvalidRequestError(f"destination is {self.destination!r}: give the URI of a folder.")
        known: dict[str, Any] = {name: context.get(name) for name in ("ds", "ts_nodash", "run_id")}
        known |= {"dag_id": getattr(context.get("ti"), "dag_id", None), "task_id": self.task_id}
        request_id, items = result["request_id"], []
        for index, output in enumerate(_pictures(result)):
            facts = {
                **dict(self.details or {}),
                "request_id": request_id,
                "workflow": result.get("workflow"),
                "poll_url": result.get("poll_url"),
                "keyname": output.keyname,
                "index": index,
            }
            values = {**known, "request_id": request_id, "id": result.get("id"), "index": index}
            base = name_of(self.name, {**values, "keyname": output.keyname})
            items.append(Item(f"{self.destination.rstrip('/')}/{base}", output.url, facts))
        if not items:
            raise InvalidRequestError(
                "The result has no output of type image, so there is nothing to store: give what a sensor or "
                "BodySwapOperator returned.",
                request_id=str(request_id),
            )
        return items


def _read_results(results: Any) -> list[Mapping[str, Any]]:
    found = [results] if isinstance(results, Mapping) else results
    if isinstance(found, str | bytes) or not hasattr(found, "__iter__"):
        raise InvalidRequestError(
            f"results is {results!r}: give what a sensor or BodySwapOperator returned, or a list."
        )
    found = list(found)
    for index, result in enumerate(found):
        if (
            not isinstance(result, Mapping)
            or not result.get("request_id")
            or not isinstance(result.get("outputs"), list)
        ):
            raise InvalidRequestError(
                f"results: entry {index} is {str(result)[:200]!r}, which has no request_id and outputs: give what a "
                "sensor or BodySwapOperator returned."
            )
    return found


def _pictures(result: Mapping[str, Any]) -> Iterator[Output]:
    for entry in result["outputs"]:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("url"), str):
            raise InvalidRequestError(
                f"results: an output is {str(entry)[:200]!r} and has no url.", request_id=str(result["request_id"])
            )
        output = Output(str(entry.get("keyname") or "output"), str(entry.get("type") or ""), entry["url"])
        if is_image(output):
            yield output


def _check_distinct(items: Iterator[Item]) -> None:
    taken: dict[str, Item] = {}
    for item in items:
        # Without case, as some file systems compare.
        other = taken.setdefault(item.base.casefold(), item)
        if other is not item:
            raise InvalidRequestError(
                f"Two outputs would get the name {item.base!r} (requests {other.facts['request_id']} and "
                f"{item.facts['request_id']}), so nothing was written: use more fields in name, such as "
                "{request_id}, {keyname} and {index}."
            )


def _row(result: Mapping[str, Any], files: list[dict[str, Any]]) -> dict[str, Any]:
    return {"request_id": result["request_id"], "uri": files[0]["uri"], "files": files}
