"""
What the parent of forked Airflows imports, without beginning anything; only that process imports this.

What Airflow reads while it is imported, such as the number of the executor's workers, is as in a local Airflow.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import sys
import warnings
from importlib import import_module
from typing import Any

import httpx

from demo.airflow_settings import FIXED, variables

_COMMANDS = ("api_server", "connection", "dag", "dag_processor", "db", "pool", "provider", "scheduler", "triggerer")
_IMPORTED = (
    "airflow.api_fastapi.app",
    "airflow.api_fastapi.core_api.routes.public",
    "airflow.api_fastapi.core_api.routes.ui",
    *(f"airflow.cli.commands.{name}_command" for name in _COMMANDS),
    "airflow.dag_processing.dagbag",
    "airflow.dag_processing.manager",
    "airflow.executors.local_executor",
    "airflow.jobs.scheduler_job_runner",
    "airflow.jobs.triggerer_job_runner",
    "airflow.models.dagrun",
    "airflow.sdk.execution_time.supervisor",
    "airflow.sdk.execution_time.task_runner",
    "airflow.settings",
    "airflow_provider_segmind.decorators.body_swap",
    "tests.airflow_fork",
    "tests.hurried.airflow_local_settings",
)


async def _ask(app: Any) -> None:
    """Send the first request, which builds the versions of the API: seven seconds."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow") as client:
        await client.get("/health")


warnings.simplefilter("ignore")
os.environ["_AIRFLOW__AS_LIBRARY"] = "1"
os.environ.update(variables(FIXED))
for module in _IMPORTED:
    import_module(module)
# Triggerers, DAG processors and ``dags test`` have the tasks' API in their own process.
api: Any = import_module("airflow.api_fastapi.execution_api.app")
asked = api.InProcessExecutionAPI().app
asyncio.run(_ask(asked))
api.InProcessExecutionAPI = functools.partial(api.InProcessExecutionAPI, app=asked)
# The command line's defaults are those of the configuration when it is imported, so each command imports it for itself.
sys.modules.pop("airflow.cli.cli_config", None)
gc.collect()
gc.freeze()
