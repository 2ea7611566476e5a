"""Order body swaps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow_provider_segmind.api.workflows import (
    BODY_SWAP_IMAGES,
    BODY_SWAP_WORKFLOW,
    check_character,
    check_image,
    check_workflow,
)
from airflow_provider_segmind.hooks.pictures import readable_url
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.operators.pixelflow import SubmitPixelFlowOperator


class SubmitBodySwapOperator(SubmitPixelFlowOperator):
    """
    Order one body swap, and do not wait for it.

    :param character_image: the scene to edit: an ``https://`` URL, or a path or storage URI that is uploaded.
    :param reference_character_image: the new person, likewise.
    :param select_character: who in the scene is replaced, in words.
    :param workflow: id and version of the workflow.
    :param segmind_conn_id: the connection.
    :return: ``request_id``, ``poll_url``, ``workflow`` and ``submitted_at`` (seconds since the epoch).
    :raises AirflowFailException: where a retry cannot help or would bill: key, credits, inputs, unknown outcome.
    :raises SegmindError: where a retry may help; nothing was billed.
    """

    template_fields: Sequence[str] = (
        "character_image",
        "reference_character_image",
        "select_character",
        "workflow",
        "segmind_conn_id",
    )

    def __init__(
        self,
        *,
        character_image: str,
        reference_character_image: str,
        select_character: str = "woman",
        workflow: str = BODY_SWAP_WORKFLOW,
        **kwargs: Any,
    ) -> None:
        super().__init__(workflow=workflow, inputs={}, **kwargs)
        self.character_image = character_image
        self.reference_character_image = reference_character_image
        self.select_character = select_character

    def build_inputs(self, hook: SegmindHook) -> Mapping[str, Any]:
        """Return the three inputs of a body swap, checked before anything is uploaded or ordered."""
        character = check_character(self.select_character)
        pictures = {name: check_image(name, getattr(self, name)) for name in BODY_SWAP_IMAGES}
        check_workflow(self.workflow)
        urls = {name: readable_url(hook, name, uri) for name, uri in pictures.items()}
        return {**urls, "select_character": character}
