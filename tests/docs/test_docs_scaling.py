"""The settings that docs/scaling.md speaks of are settings of the Airflow that is installed."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pytest
from airflow.configuration import conf

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "scaling.md").read_text()
# The Celery provider is not among the packages of the tests.
OTHERS = ("celery", "celery_broker_transport_options", "segmind")


def known(section: str, option: str) -> bool:
    return option in conf.configuration_description.get(section, {}).get("options", {})


@pytest.mark.parametrize(("section", "option"), sorted(set(re.findall(r"`\[(\w+)\] (\w+)", PAGE))))
def test_an_option_in_the_text_exists(section: str, option: str) -> None:
    assert section in OTHERS or known(section, option)


def test_the_options_in_the_sample_configuration_exist() -> None:
    samples = re.findall(r"^```ini\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert samples
    for sample in samples:
        parser = configparser.ConfigParser()
        parser.read_string(sample)
        unknown = [
            f"[{section}] {option}"
            for section in parser.sections()
            if section not in OTHERS
            for option in parser[section]
            if not known(section, option)
        ]
        assert unknown == []
