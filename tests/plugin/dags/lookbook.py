"""Tasks that show swaps as the provider's operators do, from pictures that a test has drawn."""

from __future__ import annotations

import os
import time
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, BaseOperator

from airflow_provider_segmind.api.gallery import FailedCheck, GalleryRecord, Pictures
from airflow_provider_segmind.gallery.recording import show
from airflow_provider_segmind.links import BeforeAfterLink, ResultPictureLink
from airflow_provider_segmind.operators.review import ReviewSwapsOperator
from airflow_provider_segmind.preview import swap_preview

PICTURES = os.environ.get("LOOKBOOK_PICTURES", "")
LOOKS = 24
FACES = 5


def look(number: int, **facts: Any) -> GalleryRecord:
    """Return a swap that is done."""
    base = f"{PICTURES}/{number % FACES}"
    known = {
        "before": f"{base}-before.png",
        "reference": f"{base}-reference.png",
        "after": f"{base}-after.png",
        "thumbs": Pictures(*(f"{base}-{slot}.webp" for slot in ("before", "reference", "after"))),
        "orders": 1,
        "cost": 0.2687,
        "seconds": 31.4 + number,
        "label": f"Look {number + 1}",
    }
    return GalleryRecord(**{**known, **facts})


class ShowOperator(BaseOperator):
    """Show a swap, and end as it did."""

    operator_extra_links = (BeforeAfterLink(), ResultPictureLink())

    def __init__(self, *, number: int = 0, facts: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.number = number
        self.facts = facts or {}

    def execute(self, context: Any) -> None:
        facts = dict(self.facts)
        if "checks" in facts:
            facts["checks"] = tuple(FailedCheck(*check) for check in facts["checks"])
        if facts.get("state") == "waiting":
            facts["submitted_at"] = time.time() - 21
        show(context, look(self.number, **facts))


NO_RESULT = {"after": None, "seconds": None}
NOTHING = dict.fromkeys(("before", "reference", "after", "seconds"))

with DAG(dag_id="lookbook", schedule=None):
    hostile = ShowOperator(task_id="hostile", facts={"label": "<img src=x onerror=alert(1)>"})
    looks = ShowOperator.partial(task_id="look").expand(number=list(range(LOOKS)))
    order = ShowOperator(
        task_id="order",
        number=1,
        facts={"request_id": "q1", "state": "waiting", "label": "Linen, spring", **NO_RESULT},
    )
    store = ShowOperator(
        task_id="store",
        number=1,
        facts={"request_id": "q1", "before": None, "reference": None, "label": None, "orders": 0, "cost": None},
    )
    batch = ShowOperator(
        task_id="night_batch",
        facts={
            **NOTHING,
            "thumbs": Pictures(),
            "orders": 30,
            "cost": 8.061,
            "label": "Autumn, 30 looks",
            "items": f"{PICTURES}/batch.stored.jsonl",
        },
    )
    squashed = ShowOperator(
        task_id="squashed",
        number=2,
        facts={"label": "Coat, winter", "checks": [("aspect_ratio_delta", "The result is 12 % wider than the scene.")]},
    )
    broken = ShowOperator(
        task_id="broken",
        number=4,
        facts={
            "label": "Denim",
            "state": "failed",
            "checks": [("job", "Segmind reports that the job FAILED.")],
            **NO_RESULT,
        },
    )
    unknown = ShowOperator(
        task_id="unknown",
        number=3,
        facts={
            "label": "Wool",
            "state": "unknown",
            "checks": [("order", "The order was sent but its answer never came. Look into your request history.")],
            "orders": 0,
            "cost": None,
            "maybe": 0.2687,
            **NO_RESULT,
        },
    )
    waiting = ShowOperator(
        task_id="waiting", number=3, facts={"label": "Silk, summer", "state": "waiting", **NO_RESULT}
    )
    refused = ShowOperator(
        task_id="refused",
        number=0,
        facts={
            "label": "Raincoat",
            "state": "rejected",
            "checks": [("person_count", "persons found: 0 on the source, 1 on the reference")],
            "orders": 0,
            "cost": None,
            **NO_RESULT,
        },
    )
    approve = ApprovalOperator(task_id="approve", subject="Publish this look?", body=swap_preview("store"), params={})
    approve_each = ApprovalOperator.partial(task_id="approve_each", body=swap_preview("look"), params={}).expand(
        subject=["Publish the first?", "Publish the second?"]
    )
    review = ReviewSwapsOperator(
        task_id="review", results=f"{PICTURES}/looks.jsonl.stored.jsonl", review_uri=f"{PICTURES}/review.jsonl"
    )
    (
        hostile
        >> looks
        >> order
        >> store
        >> batch
        >> squashed
        >> broken
        >> refused
        >> unknown
        >> waiting
        >> [approve, approve_each, review]
    )
