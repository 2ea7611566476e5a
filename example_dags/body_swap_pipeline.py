"""
From a bucket to a bucket: new photographs are checked, swapped, stored, checked again, approved by a person, published.

It runs when the asset ``photographs`` is updated, by another DAG or by ``POST /api/v2/assets/events``, and takes what
is in the inbox. A photograph leaves the inbox when it is settled: published, or in quarantine with the reason beside
it. One whose task failed stays there, and the run fails, so that a person sees it.

It needs the connections ``segmind_default`` and ``aws_default``, and ``apache-airflow-providers-amazon[s3fs]``.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Asset, AssetAlias, ObjectStoragePath, Param, task, task_group
from airflow.sdk.exceptions import AirflowSkipException

from airflow_provider_segmind.api.workflows import BODY_SWAP_WORKFLOW
from airflow_provider_segmind.operators.body_swap import BodySwapOperator
from airflow_provider_segmind.operators.quality import CheckSwapInputOperator, CheckSwapOperator
from airflow_provider_segmind.transfers.object_storage import SegmindToObjectStorageOperator

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
PERSON = "{{ params.person }}"

with DAG(
    dag_id="body_swap_pipeline",
    schedule=[Asset(name="photographs", uri="s3://catalogue/inbox")],
    max_active_runs=1,  # two would take the same photographs
    tags=["segmind"],
    doc_md=__doc__,
    params={
        "bucket": Param("s3://aws_default@catalogue", type="string", description="Holds inbox, swaps, published …"),
        "photographs": Param([], type="array", items={"type": "string"}, description="Not the inbox, but these."),
        "person": Param("s3://aws_default@catalogue/person.png", type="string", description="The new person."),
        "select_character": Param("woman", type="string", minLength=1, description="Who in each scene is replaced."),
        "consent": Param("consents/2026-11", type="string", description="Where the people's consent is on record."),
    },
):

    @task
    def find(params: dict[str, Any]) -> list[str]:
        """Return the photographs to swap."""
        inbox = ObjectStoragePath(params["bucket"]) / "inbox"
        return params["photographs"] or sorted(str(path) for path in inbox.iterdir() if path.suffix.lower() in PICTURES)

    @task_group
    def photograph(uri: Any) -> None:
        """Do all that is done to one photograph."""
        check = CheckSwapInputOperator(
            task_id="check", character_image=uri, reference_character_image=PERSON, on_failure="skip"
        )
        swap = BodySwapOperator(
            task_id="swap",
            character_image=uri,
            reference_character_image=PERSON,
            select_character="{{ params.select_character }}",
            consent_reference="{{ params.consent }}",
            retries=2,
            retry_delay=timedelta(minutes=1),
        )
        store = SegmindToObjectStorageOperator(
            task_id="store",
            results=swap.output,
            destination="{{ params.bucket }}/swaps",
            details={
                "inputs": {"character_image": uri, "reference_character_image": PERSON},
                "workflow": BODY_SWAP_WORKFLOW,
                "consent_reference": "{{ params.consent }}",
            },
            outlets=[AssetAlias("stored swaps")],  # other DAGs can be scheduled on each picture
            retries=5,
        )
        compare = CheckSwapOperator(
            task_id="compare",
            character_image=uri,
            reference_character_image=PERSON,
            result=store.output,
            on_failure="skip",
        )

        @task
        def preview(before: str, stored: dict[str, Any]) -> str:
            """Return both pictures as markdown; their links end after a day."""
            uris = {"before": before, "after": stored["files"][0]["thumbnail"]}
            paths = {name: ObjectStoragePath(found) for name, found in uris.items()}
            links = [f"![{name}]({path.fs.sign(path.path, expiration=86400)})" for name, path in paths.items()]
            return f"| Before | After |\n|---|---|\n| {' | '.join(links)} |\n"

        approve = ApprovalOperator(
            task_id="approve",
            subject="Publish this picture?",
            body=preview(uri, store.output),
            response_timeout=timedelta(days=3),
            # An answer within the same second can find the task not yet at rest in Airflow 3.3.2, which fails it.
            retries=2,
            retry_delay=timedelta(seconds=10),
        )

        @task
        def publish(answer: dict[str, Any], stored: dict[str, Any], bucket: str) -> str:
            """Copy the picture to where it is published, if the answer is yes."""
            # Asked here, because in a mapped task group of Airflow 3.3.2 a rejection does not skip what follows.
            if answer["chosen_options"] != [ApprovalOperator.APPROVE]:
                raise AirflowSkipException("It was rejected.")
            picture = ObjectStoragePath(stored["uri"])
            published = ObjectStoragePath(f"{bucket}/published/{stored['request_id']}{picture.suffix}")
            picture.copy(published)
            return str(published)

        published = publish(approve.output, store.output, "{{ params.bucket }}")

        @task(trigger_rule="all_done")
        def settle(photograph: str, bucket: str, ti: Any) -> str:
            """Take the photograph out of the inbox: to ``done``, or to ``quarantine`` with the reason beside it."""
            group, index = ti.task_id.rpartition(".")[0], ti.map_index

            def said(name: str, key: str = "return_value") -> Any:
                return ti.xcom_pull(task_ids=f"{group}.{name}", key=key, map_indexes=index)

            reports = {name: report for name in ("check", "compare") if (report := said(name, "report"))}
            answer = said("approve") or {}
            rejected = [name for name, report in reports.items() if report["verdict"] == "fail"]
            if answer.get("chosen_options") == [ApprovalOperator.REJECT]:
                rejected.append("approve")
            if not rejected and not said("publish"):
                raise RuntimeError(f"{photograph} is not published, and nobody rejected it: see the task that failed.")
            source = ObjectStoragePath(photograph)
            target = ObjectStoragePath(f"{bucket}/{'quarantine' if rejected else 'done'}/{source.name}")
            if rejected:
                reason = {"rejected_by": rejected, "reports": reports, "answer": answer}
                ObjectStoragePath(f"{target}.json").write_text(json.dumps(reason, indent=2, default=str))
            if source.parent.name == "inbox":
                source.copy(target)
                source.unlink()
            return f"rejected by {', '.join(rejected)}" if rejected else "published"

        check >> swap
        compare >> approve
        published >> settle(uri, "{{ params.bucket }}")

    photograph.expand(uri=find())
