"""Whatever is killed, lost or refused: nobody pays twice, and no result that was paid for is lost without a word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.faults import from_airflow, from_memory, from_people, from_service, from_workers
from tests.faults.play import SCENARIOS, Scenario
from tests.faults.table import Table

if TYPE_CHECKING:
    from tests.faults.conftest import Stage

MODULES = (from_workers, from_service, from_people, from_airflow, from_memory)


@pytest.mark.parametrize("scenario", sorted(SCENARIOS, key=lambda each: each.alone), ids=lambda each: each.fault)
def test_charges_are_as_expected_and_the_outcome_is_known(stage: Stage, table: Table, scenario: Scenario) -> None:
    played = stage.play(scenario)
    table.rows.append(played)
    assert not played.error, played.error
    assert played.good, f"{played.charges} charges: {played.outcome}"
