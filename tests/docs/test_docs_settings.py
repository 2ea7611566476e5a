"""Settings and commands of Airflow that a page names are there in the Airflow that is installed."""

from __future__ import annotations

import argparse
import configparser
import re
import shlex
from collections.abc import Iterator
from functools import cache

import pytest
from airflow.cli.cli_parser import get_parser
from airflow.configuration import conf

from airflow_provider_segmind.compat import AIRFLOW_V_3_3_PLUS
from airflow_provider_segmind.get_provider_info import get_provider_info
from tests.docs.pages import SAID, Block, blocks, shell_lines

# Their providers are not among the packages of the tests.
OTHERS = ("celery", "celery_broker_transport_options", "kubernetes_executor")
OWN = get_provider_info()["config"]
# What came after Airflow 3.1; the pages say with which version.
NEWER = {
    ("core", "multi_team"),
    ("state_store", "default_retention_days"),
    ("triggerer", "max_trigger_to_select_per_loop"),
}
_ASSIGNMENTS = re.compile(r"^(?:export )?(?:[A-Z_]+=\S+ )*airflow ")


def known(section: str, option: str) -> bool:
    """Whether Airflow or this package has an option; a secret can also be a command or a name in a backend."""
    if section in OTHERS or (not AIRFLOW_V_3_3_PLUS and (section, option) in NEWER):
        return True
    options = {**conf.configuration_description, **OWN}.get(section, {}).get("options", {})
    plain = re.sub(r"_(cmd|secret)$", "", option)
    return option in options or bool(options.get(plain, {}).get("sensitive"))


def test_an_option_that_is_not_there_is_noticed() -> None:
    assert known("core", "parallelism")
    assert known("segmind", "signing_key_cmd")
    assert not known("core", "paralelism")
    assert not known("segmind", "ui_tabs_cmd")


@pytest.mark.parametrize(("section", "option"), sorted(set(re.findall(r"`\[(\w+)\] (\w+)", SAID))))
def test_an_option_in_the_text_exists(section: str, option: str) -> None:
    assert known(section, option)


@pytest.mark.parametrize(("section", "option"), sorted(set(re.findall(r"\bAIRFLOW__([A-Z_]+?)__([A-Z_]+)\b", SAID))))
def test_an_option_in_an_environment_variable_exists(section: str, option: str) -> None:
    assert known(section.lower(), option.lower())


@pytest.mark.parametrize("block", blocks("ini"), ids=str)
def test_the_options_in_a_sample_configuration_exist(block: Block) -> None:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(block.code)
    options = [(section, option) for section in parser.sections() for option in parser[section]]
    assert options
    assert [one for one in options if not known(*one)] == []


def _airflow_commands() -> Iterator[tuple[str, str]]:
    """Return Airflow's commands in blocks for a shell, and those in the text that have arguments."""
    yield from ((place, line) for place, line in shell_lines() if _ASSIGNMENTS.match(line))
    inline = sorted(set(re.findall(r"(?<!`)`(airflow [a-z][a-z-]* [^`\n]+)`(?!`)", SAID)))
    yield from (("text", command) for command in inline)


@cache
def parser() -> argparse.ArgumentParser:
    """Return Airflow's own parser."""
    made: argparse.ArgumentParser = get_parser()
    return made


@pytest.mark.parametrize("command", [pytest.param(line, id=f"{at} {line[:60]}") for at, line in _airflow_commands()])
def test_a_command_for_airflow_parses(command: str) -> None:
    words = shlex.split(_ASSIGNMENTS.sub("", command), comments=True)
    parser().parse_args(words)


def test_a_command_that_does_not_parse_is_noticed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["connections", "ad", "segmind_default"])
    assert "invalid choice" in capsys.readouterr().err + capsys.readouterr().out
