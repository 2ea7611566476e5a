"""
From a bucket to a bucket: new photographs are checked, swapped, stored, checked again, approved by a person, published.

It runs when the asset ``photographs`` is updated, by another DAG or by ``POST /api/v2/assets/events``. What is in the
inbox is first moved to ``photographs/``, in a folder of the run: no later run finds it and pays for it again, and
whatever names it goes on being true. Each ends published, or in quarantine with the reason beside it. Where a task
failed, the run fails too, so that a person sees it; to clear that task goes on from there.

It needs the connections ``segmind_default`` and ``aws_default``, ``apache-airflow-providers-amazon[s3fs]``,
``apache-airflow-providers-standard`` 1.13 or later, and for the pictures in the approval
``[segmind] gallery_roots = s3://aws_default@catalogue``.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Asset, AssetAlias, ObjectStoragePath, Param, task, task_group

from airflow_provider_segmind.api.workflows import BODY_SWAP_WORKFLOW
from airflow_provider_segmind.operators.body_swap import BodySwapOperator
from airflow_provider_segmind.operators.quality import CheckSwapInputOperator, CheckSwapOperator
from airflow_provider_segmind.preview import swap_name, swap_preview
from airflow_provider_segmind.transfers.object_storage import SegmindToObjectStorageOperator

try:
    from airflow.sdk.exceptions import AirflowSkipException
except ImportError:  # Airflow 3.1
    from airflow.exceptions import AirflowSkipException

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
PERSON = "{{ params.person }}"

with DAG(
    dag_id="body_swap_pipeline",
    schedule=[Asset(name="photographs", uri="s3://catalogue/inbox")],
    max_active_runs=1,  # two would take the same photographs
    tags=["segmind"],
    doc_md=__doc__,
    params={
        # Whoever may trigger this DAG names files: [segmind] input_roots bounds which of them tasks read.
        "bucket": Param("s3://aws_default@catalogue", type="string", description="Holds inbox, swaps, published …"),
        "photographs": Param([], type="array", items={"type": "string"}, description="Not the inbox, but these."),
        "person": Param("s3://aws_default@catalogue/person.png", type="string", description="The new person."),
        "select_character": Param("woman", type="string", minLength=1, description="Who in each scene is replaced."),
        "consent": Param("consents/2026-11", type="string", description="Where the people's consent is on record."),
    },
):

    @task(retries=3)
    def take(params: dict[str, Any], run_id: str) -> list[str]:
        """Take the photographs out of the inbox, and return where they are from now on."""
        if params["photographs"]:
            return list(params["photographs"])
        bucket = ObjectStoragePath(params["bucket"])
        inbox, taken = bucket / "inbox", bucket / "photographs" / re.sub(r"[^\w.-]", "-", run_id)
        for path in sorted(inbox.iterdir()) if inbox.exists() else []:
            if path.suffix.lower() in PICTURES:
                path.copy(taken / path.name)
                path.unlink()
        # Listed anew, because an earlier try of this task may have taken some of them.
        return sorted(str(path) for path in taken.iterdir()) if taken.exists() else []

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
            results=store.output,
            on_failure="skip",
        )

        approve = ApprovalOperator(
            task_id="approve",
            subject=f"Publish {swap_name('photograph.store')}?",
            body=swap_preview("photograph.store", checks="photograph.compare"),
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
            """Say what became of the photograph, and put one that was rejected into quarantine with the reason."""
            group, index = ti.task_id.rpartition(".")[0], ti.map_index

            def said(name: str, key: str = "return_value") -> Any:
                return ti.xcom_pull(task_ids=f"{group}.{name}", key=key, map_indexes=index)

            # In their order, up to the one that rejected it: what did not run has left nothing.
            reports: dict[str, Any] = {}
            answer: dict[str, Any] = {}
            rejected = ""
            for name in ("check", "compare"):
                reports[name] = said(name, "report")
                if not reports[name] or reports[name]["verdict"] == "fail":
                    rejected = name if reports[name] else ""
                    break
            else:
                answer = said("approve") or {}
                if answer.get("chosen_options") == [ApprovalOperator.REJECT]:
                    rejected = "approve"
            if not rejected and not said("publish"):
                raise RuntimeError(f"{photograph} is not published, but nobody rejected it: clear what failed.")
            if rejected:
                source = ObjectStoragePath(photograph)
                target = ObjectStoragePath(f"{bucket}/quarantine/{source.parent.name}/{source.name}")
                reason = {"rejected_by": [rejected], "reports": reports, "answer": answer}
                ObjectStoragePath(f"{target}.json").write_text(json.dumps(reason, indent=2, default=str))
                if str(source).startswith(f"{bucket}/photographs/"):
                    source.copy(target)
            return f"rejected by {rejected}" if rejected else "published"

        check >> swap
        compare >> approve
        published >> settle(uri, "{{ params.bucket }}")

    photograph.expand(uri=take())
