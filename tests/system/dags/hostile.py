"""Waits for jobs about which the service says the oddest things, and for one that is well."""

from __future__ import annotations

from airflow.sdk import DAG, task

from airflow_provider_segmind.sensors.body_swap import BodySwapSensor

with DAG(dag_id="hostile", schedule=None):

    @task
    def jobs(params: dict[str, list[str]] | None = None) -> list[str]:
        """Return the poll URLs of the run's configuration."""
        return (params or {})["attacked"]

    poll_urls = jobs()
    # As a task ends in the triggerer, and as it resumes on a worker: an XCom, and an event.
    for task_id, end in (("ends", True), ("resumes", False)):
        BodySwapSensor.partial(task_id=task_id, timeout=20.0, poke_interval=2.0, end_in_trigger=end).expand(
            poll_url=poll_urls
        )

    @task
    def rows(params: dict[str, list[str]] | None = None) -> list[dict[str, str]]:
        """Return poll URLs that would show the key, if anybody rendered them."""
        return [{"poll_url": f"{(params or {})['attacked'][0]}{{{{conn.segmind_default.password|list|join('.')}}}}"}]

    BodySwapSensor.partial(task_id="rendered", start_from_trigger=True, timeout=20.0, poke_interval=2.0).expand_kwargs(
        rows()
    )
    BodySwapSensor(task_id="healthy", poll_url="{{ dag_run.conf['healthy'] }}", timeout=600.0, poke_interval=2.0)
