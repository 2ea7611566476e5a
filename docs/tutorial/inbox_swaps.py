from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, Variable, task, task_group

from airflow_provider_segmind.operators.body_swap import BodySwapOperator
from airflow_provider_segmind.transfers.object_storage import SegmindToObjectStorageOperator

FOLDER = "{{ var.value.swap_folder }}"
PICTURES = (".png", ".jpg", ".jpeg", ".webp")

with DAG(dag_id="inbox_swaps", schedule="* * * * *", catchup=False, max_active_runs=1):

    @task(retries=3)
    def take(run_id: str) -> list[str]:
        folder = Path(Variable.get("swap_folder"))
        taken = folder / "taken" / run_id
        taken.mkdir(parents=True, exist_ok=True)
        for path in (folder / "inbox").iterdir():
            if path.suffix.lower() in PICTURES:
                path.rename(taken / path.name)
        return sorted(str(path) for path in taken.iterdir())

    @task_group
    def photograph(path: str) -> None:
        swap = BodySwapOperator(
            task_id="swap",
            character_image=path,
            reference_character_image=f"{FOLDER}/samples/person-0.png",
            select_character="woman",
            timeout=1800,
            retries=2,
            retry_delay=timedelta(seconds=10),
        )
        SegmindToObjectStorageOperator(
            task_id="store",
            results=swap.output,
            destination=f"{FOLDER}/pictures",
            name="{dag_id}/{request_id}",
            retries=3,
        )

    photograph.expand(path=take())
