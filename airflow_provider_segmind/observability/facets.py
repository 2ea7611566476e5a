"""OpenLineage facets in the format of ``facets.json``. Import this module only if OpenLineage asks: it is optional."""

from __future__ import annotations

import attrs
from openlineage.client.generated.base import RunFacet

from airflow_provider_segmind import __version__

PRODUCER = f"urn:airflow-provider-segmind:{__version__}"
SCHEMA = "urn:airflow-provider-segmind:facets:1"


@attrs.define(kw_only=True)
class SegmindJobRunFacet(RunFacet):
    """Facts of one job; ``facets.json`` explains the fields."""

    requestId: str | None = None  # noqa: N815 - OpenLineage uses camel case
    workflow: str | None = None
    status: str | None = None
    costUsd: float | None = None  # noqa: N815
    seconds: float | None = None
    consentReference: str | None = None  # noqa: N815
    checks: str | None = None
    error: str | None = None

    @staticmethod
    def _get_schema() -> str:
        return f"{SCHEMA}#/$defs/SegmindJobRunFacet"


@attrs.define(kw_only=True)
class SegmindBatchRunFacet(RunFacet):
    """Facts of many jobs; ``facets.json`` explains the fields."""

    workflow: str | None = None
    total: int | None = None
    ordered: int | None = None
    completed: int | None = None
    failed: int | None = None
    byStatus: dict[str, int] | None = None  # noqa: N815
    costUsd: float | None = None  # noqa: N815
    consentReference: str | None = None  # noqa: N815
    error: str | None = None

    @staticmethod
    def _get_schema() -> str:
        return f"{SCHEMA}#/$defs/SegmindBatchRunFacet"
