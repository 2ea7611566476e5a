"""Airflow's simple auth manager, with users who may read some DAGs only, as other auth managers have them."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager


class SomeDags(SimpleAuthManager):
    """``vera`` reads DAGs that are called ``open…``; ``xena`` sees all, the XComs of those only, and no audit log."""

    def is_authorized_dag(self, *, method: Any, user: Any, access_entity: Any = None, details: Any = None) -> bool:
        if user.username == "xena" and access_entity == DagAccessEntity.AUDIT_LOG:
            return False
        dag_id = details.id if details is not None else None
        limited = user.username == "vera" or (user.username == "xena" and access_entity == DagAccessEntity.XCOM)
        if limited and dag_id is not None and not dag_id.startswith("open"):
            return False
        return bool(super().is_authorized_dag(method=method, user=user, access_entity=access_entity, details=details))
