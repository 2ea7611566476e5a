"""Operators that transfer pictures between object storage and Segmind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator, Context, XComArg

from airflow_provider_segmind.api.errors import SegmindError
from airflow_provider_segmind.api.parameters import CONN_ID, check_failures, check_interval
from airflow_provider_segmind.failures import task_error
from airflow_provider_segmind.links import BeforeAfterLink, ResultPictureLink
from airflow_provider_segmind.observability.lineage import LineageMixin
from airflow_provider_segmind.rendering import AuthorsTemplatesMixin


class SegmindToObjectStorageOperator(LineageMixin, AuthorsTemplatesMixin, BaseOperator):
    """
    Store the pictures of one result, a list of results, or a batch, each with a thumbnail and a sidecar file.

    A file is stored whole or not at all. The operator does not fetch again what an earlier attempt stored, and never
    overwrites other content. A lost or failed result does not stop the others.

    :param results: the output of a sensor or ``BodySwapOperator``, or a list of such outputs; or the output of
        ``BodySwapBatchOperator``, or the URI of its results manifest.
    :param destination: URI of a folder: ``s3://…``, ``gs://…``, ``abfs://…``, ``file://…`` or a path.
    :param name: path of each picture in ``destination``, without a suffix, with the fields ``{request_id}``, ``{row}``,
        ``{index}``, ``{keyname}``, ``{id}``, ``{ds}``, ``{ts_nodash}``, ``{run_id}``, ``{dag_id}``, ``{task_id}``. In a
        run without a logical date, ``{ds}`` and ``{ts_nodash}`` are the day and time at which it was due to run.
    :param details: more facts for each sidecar, such as the inputs or a consent reference.
    :param thumbnails: whether to store a WebP of at most 640 pixels next to each picture.
    :param label_pictures: whether the metadata of each stored picture says that a model made part of it (IPTC's digital
        source type). No pixel changes.
    :param max_failures: number of pictures that may be missing before the task fails; below 1, their share of all
        pictures.
    :param segmind_conn_id: id of the Airflow connection. Its key is sent to its own hosts only.
    :return: ``request_id``, ``uri`` (of the first picture) and ``files``; for a list, a list of these. For a batch:
        ``stored_uri`` (URI of a manifest with one such line per swap), ``total``, ``completed``, ``failed``,
        ``skipped`` and ``without_picture``.
    :raises AirflowFailException: a retry cannot help.
    :raises SegmindError: a retry may help; it fetches only what is not stored.
    """

    operator_extra_links = (BeforeAfterLink(), ResultPictureLink())
    template_fields: Sequence[str] = ("results", "destination", "name", "details", "segmind_conn_id")
    ui_color = "#ece8f6"

    def __init__(
        self,
        *,
        results: str | Mapping[str, Any] | Sequence[Mapping[str, Any]] | XComArg,
        destination: str,
        name: str = "{request_id}/{keyname}-{index}",
        details: Mapping[str, Any] | None = None,
        thumbnails: bool = True,
        label_pictures: bool = True,
        max_failures: float = 0,
        segmind_conn_id: str = CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.results = results
        self.destination = destination
        self.name = name
        self.details = details
        self.thumbnails = thumbnails
        self.label_pictures = label_pictures
        self.max_failures = check_failures(max_failures)
        self.segmind_conn_id = segmind_conn_id
        self.fetched: list[object] = []  # URLs of the pictures, once they are known

    def execute(self, context: Context) -> Any:
        """Check all names, then store what is not stored yet."""
        from airflow_provider_segmind.tasks.store import StoreRun

        return StoreRun(self, context).store()

    def lineage_inputs(self) -> list[object]:
        """Return the URLs of the fetched pictures."""
        return self.fetched


class ObjectStorageToSegmindOperator(AuthorsTemplatesMixin, BaseOperator):
    """
    Make private photographs readable for Segmind, and return their URLs.

    The ordering operators do this themselves for a URI. Use this operator for pictures that several swaps share, or for
    a signed link instead of an upload.

    :param source: a path or URI that Airflow's object storage reads, or a list of these.
    :param share: ``upload`` puts a copy on Segmind's storage, which anyone with the URL can see and nobody can delete.
        ``sign`` returns a link to the object itself that expires after ``expires``, if the storage can sign (S3, GCS,
        Azure).
    :param expires: seconds that a signed link is valid; it must outlast the queue.
    :param segmind_conn_id: id of the Airflow connection.
    :return: the ``https://`` URL; for a list, a list of URLs. Keep a signed URL secret until it expires.
    :raises AirflowFailException: a file cannot be read or is not a picture; nothing is shared then.
    :raises SegmindError: a retry may help.
    """

    template_fields: Sequence[str] = ("source", "share", "segmind_conn_id")
    ui_color = "#ece8f6"

    def __init__(
        self,
        *,
        source: str | Sequence[str] | XComArg,
        share: str = "upload",
        expires: timedelta | float = 3600,
        segmind_conn_id: str = CONN_ID,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.share = share
        self.expires = check_interval("expires", expires)
        self.segmind_conn_id = segmind_conn_id

    def execute(self, context: Context) -> str | list[str]:
        """Check all pictures, then share them."""
        from airflow_provider_segmind.tasks.store import share

        try:
            urls = share(self)
        except SegmindError as error:
            raise task_error(error) from None
        return urls[0] if isinstance(self.source, str) else urls
