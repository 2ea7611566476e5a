"""
What OpenLineage is told about jobs, in the shapes that ``facets.json`` describes.

This module is imported only where OpenLineage asks, since it is no dependency of this package.
"""

from __future__ import annotations

import attrs
from openlineage.client.generated.base import RunFacet

from airflow_provider_segmind import __version__

PRODUCER = f"urn:airflow-provider-segmind:{__version__}"
SCHEMA = "urn:airflow-provider-segmind:facets:1"


@attrs.define(kw_only=True)
class SegmindJobRunFacet(RunFacet):
    """One job; ``facets.json`` says what the fields mean."""

    requestId: str | None = None  # noqa: N815 - OpenLineage's way to write names
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
    """Many jobs; ``facets.json`` says what the fields mean."""

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
