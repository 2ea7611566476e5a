"""With which model an Airflow judges poses, as its administrator says in ``[segmind]``."""

from __future__ import annotations

from pathlib import Path

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.hooks.compat import conf
from airflow_provider_segmind.quality.interpreters import check_pose_model


def pose_model() -> Path | None:
    """
    Return what ``[segmind] pose_model`` names, or ``None`` where the administrator gave nothing.

    :raises InvalidRequestError: when it is not the model of poses.
    """
    path = str(conf.get("segmind", "pose_model", fallback=None) or "").strip()
    if not path:
        return None
    try:
        check_pose_model(Path(path))
    except InvalidRequestError as error:
        raise InvalidRequestError(
            f"[segmind] pose_model, which whoever manages Airflow sets, cannot be used. {error.message}"
        ) from None
    return Path(path)
