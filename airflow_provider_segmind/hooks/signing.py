"""Old location of :mod:`airflow_provider_segmind.storage.signing`, for DAGs that import it from here."""

from airflow_provider_segmind.storage.signing import Signer, signer

__all__ = ["Signer", "signer"]
