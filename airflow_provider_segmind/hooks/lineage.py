"""Old location of :mod:`airflow_provider_segmind.observability.lineage`, for DAGs that import it from here."""

from airflow_provider_segmind.observability.lineage import BatchFacts, JobFacts, LineageMixin, operator_lineage

__all__ = ["BatchFacts", "JobFacts", "LineageMixin", "operator_lineage"]
