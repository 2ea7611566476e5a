"""Old location of :mod:`airflow_provider_segmind.observability.assets`, for DAGs that import it from here."""

from airflow_provider_segmind.observability.assets import Stored, announce

__all__ = ["Stored", "announce"]
