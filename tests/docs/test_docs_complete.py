"""What an author, an administrator or a developer can set, call or meet is documented; the names come from the code."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import re
import sys
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from typing import Any

import griffe
import pytest
import requests
from airflow.providers.http.hooks.http import HttpHook
from airflow.sdk import BaseOperator, BaseSensorOperator

from airflow_provider_segmind.api.errors import BY_NAME
from airflow_provider_segmind.api.models import KNOWN_EXTRAS
from airflow_provider_segmind.decorators.body_swap import _BodySwapDecoratedOperator, body_swap_task
from airflow_provider_segmind.emulator import Emulator, __main__
from airflow_provider_segmind.emulator.faults import EXPLAINED, KINDS, Fault
from airflow_provider_segmind.get_provider_info import get_provider_info
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.observability import metrics
from tests.docs.pages import PAGES, README, ROOT, SAID, made
from tools import site_reference
from tools.site_parameters import InheritedParameters

INFO = get_provider_info()
OPTIONS = [name for section in INFO["config"].values() for name in section["options"]]
FIELDS = [name for connection in INFO["connection-types"] for name in connection["conn-fields"]]
METRICS = [value for value in vars(metrics).values() if isinstance(value, str) and value.startswith("segmind.")]
SETTINGS, HOOK = ((ROOT / "docs" / page).read_text() for page in ("reference/settings.md", "reference/hook.md"))


def _classes(*groups: str) -> Iterator[type[Any]]:
    """Return the classes that the modules of some groups of the provider info define for users."""
    for entry in (entry for group in groups for entry in INFO.get(group, [])):
        for name in [*entry.get("python-modules", []), *filter(None, [entry.get("python-module")])]:
            for value in vars(importlib.import_module(name)).values():
                if inspect.isclass(value) and value.__module__ == name and not value.__name__.startswith("_"):
                    yield value


TASKS = [cls for cls in _classes("operators", "sensors", "transfers") if issubclass(cls, BaseOperator)]
CLASSES = [*TASKS, *_classes("hooks")]


def _parameters(cls: type[Any]) -> Iterator[str]:
    """Return the parameters of a class and of its parents, up to Airflow's own."""
    for base in cls.__mro__:
        if base is _airflows(cls) or base in (BaseOperator, BaseSensorOperator, HttpHook):
            return
        yield from _own_parameters(base)


def _own_parameters(cls: type[Any]) -> Iterator[str]:
    if "__init__" in vars(cls):
        for name, parameter in list(inspect.signature(cls.__init__).parameters.items())[1:]:
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                yield name


def _decorator_parameters() -> Iterator[str]:
    own = {"python_callable", "op_args", "op_kwargs"}  # what @task itself fills in
    return (name for name in _own_parameters(_BodySwapDecoratedOperator) if name not in own)


def test_the_provider_info_names_what_users_import() -> None:
    names = {cls.__name__ for cls in CLASSES}
    assert {"BodySwapOperator", "BodySwapSensor", "SegmindToObjectStorageOperator", "SegmindHook"} <= names


@pytest.mark.parametrize(
    "name",
    sorted({*FIELDS, *OPTIONS, *BY_NAME, *METRICS, *(f"@task.{one['name']}" for one in INFO["task-decorators"])}),
)
def test_a_name_is_documented(name: str) -> None:
    assert re.search(rf"`(?:\[segmind\] )?{re.escape(name)}\b", "\n".join([SAID, *map(made, site_reference.PAGES)]))


@pytest.mark.parametrize("cls", TASKS, ids=lambda cls: cls.__name__)
def test_every_operator_and_sensor_is_described_with_its_parameters(cls: type[Any]) -> None:
    """Here or in the docstring of the class that it refers to."""
    assert f"`{cls.__name__}`" in SETTINGS
    assert f"`{cls.__module__.removeprefix('airflow_provider_segmind.')}`" in SETTINGS
    described = "\n".join(task.__doc__ or "" for task in TASKS)
    assert [name for name in _parameters(cls) if f":param {name}:" not in described] == []


@pytest.mark.parametrize("name", sorted(_decorator_parameters()))
def test_every_parameter_of_the_decorator_is_described(name: str) -> None:
    docstring = body_swap_task.__doc__ or ""
    assert f":param {name}:" in docstring or f"``{name}``" in docstring


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_reference_shows_every_class_with_each_parameter_of_its_own(cls: type[Any]) -> None:
    """The site's reference is made of docstrings, so a parameter is in it if its class's docstring has it."""
    assert _is_in_the_reference(cls.__module__, cls.__name__)
    docstring = cls.__doc__ or ""
    assert [name for name in _own_parameters(cls) if f":param {name}:" not in docstring] == []


@pytest.fixture(scope="module")
def package() -> griffe.Module:
    """The package as the reference sees it."""
    loaded = griffe.load(
        "airflow_provider_segmind",
        search_paths=[str(ROOT)],
        extensions=griffe.load_extensions(InheritedParameters()),
        docstring_parser="sphinx",
        docstring_options={"warnings": False},
    )
    assert isinstance(loaded, griffe.Module)
    return loaded


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_the_reference_shows_parameters_with_their_defaults(package: griffe.Module, cls: type[Any]) -> None:
    real: dict[str, inspect.Parameter] = {}
    for base in reversed(cls.__mro__[: cls.__mro__.index(_airflows(cls))]):
        if "__init__" in vars(base):
            real |= inspect.signature(base.__init__).parameters
    docstring = package[f"{cls.__module__.partition('.')[2]}.{cls.__name__}"].docstring
    sections = [section for section in docstring.parsed if section.kind is griffe.DocstringSectionKind.parameters]
    for shown in (parameter for section in sections for parameter in section.value):
        default: Any = inspect.Parameter.empty
        if shown.default is not None:
            default = eval(str(shown.default), vars(sys.modules[cls.__module__]))  # noqa: S307
        assert (shown.name, default) == (shown.name, real[shown.name].default)
        assert shown.annotation is not None


def _airflows(cls: type[Any]) -> type[Any]:
    """Return the first of a class's parents that is Airflow's own."""
    return next(base for base in cls.__mro__ if not base.__module__.startswith("airflow_provider_segmind"))


@pytest.mark.parametrize("decorator", INFO["task-decorators"], ids=lambda decorator: decorator["name"])
def test_the_reference_shows_every_decorator(decorator: dict[str, str]) -> None:
    module, _, name = decorator["class-name"].rpartition(".")
    assert _is_in_the_reference(module, name)


@pytest.mark.parametrize("method", [name for name, _ in inspect.getmembers(SegmindHook, inspect.isfunction)])
def test_a_public_method_of_the_hook_has_its_parameters_in_the_reference(method: str) -> None:
    function = vars(SegmindHook).get(method)
    if function is None or method.startswith("_") or method in vars(HttpHook):
        return
    given = [name for name in inspect.signature(function).parameters if name != "self"]
    assert [name for name in given if f":param {name}:" not in (function.__doc__ or "")] == []


def _is_in_the_reference(module: str, name: str) -> bool:
    """Whether a page of the reference has a class or function, by itself or with all of its module."""
    for page in (ROOT / "docs" / "reference").glob("*.md"):
        text = page.read_text()
        if f"::: {module}.{name}\n" in f"{text}\n":
            return True
        of_module = re.search(
            rf"^::: {re.escape(module)}\n(    options:\n      members: \[(.*)\])?", text, re.MULTILINE
        )
        if of_module and (of_module[2] is None or name in of_module[2].split(", ")):
            return True
    return False


def test_every_method_of_the_hook_is_described() -> None:
    own = [
        name
        for name, value in vars(SegmindHook).items()
        if inspect.isfunction(value)
        and not name.startswith("_")
        and (name not in vars(HttpHook) or name == "test_connection")
    ]
    assert {"submit", "get_job", "wait", "get_credits", "upload"} <= set(own)
    assert [name for name in own if f"`{name}`" not in HOOK or not vars(SegmindHook)[name].__doc__] == []


@pytest.mark.parametrize("extra", sorted(KNOWN_EXTRAS | set(FIELDS)))
def test_every_extra_of_the_connection_is_in_the_reference(extra: str) -> None:
    assert f"\n## `{extra}`\n" in made("reference/connection.md")


@pytest.mark.parametrize("error", sorted(set(BY_NAME) - {"SegmindError"}))
def test_every_error_is_described_with_its_bill_its_task_and_what_to_do(error: str) -> None:
    assert f"\n| `{error}` |" in README.read_text()
    section = made("reference/errors.md").partition(f"\n## `{error}`\n")[2].partition("\n## ")[0]
    for label in ("In short", "What to do"):
        assert re.search(rf"\* \*\*{label}:\*\* \S", section)
    docstring = BY_NAME[error].__doc__ or ""
    assert re.search(r"\b[Bb]illed\b", docstring)
    assert re.search(r"\b[Tt]ask\b", docstring)


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_is_in_the_reference_with_what_matters(option: str) -> None:
    (about,) = (section["options"][option] for section in INFO["config"].values() if option in section["options"])
    section = made("reference/configuration.md").partition(f"\n## `{option}`\n")[2].partition("\n## ")[0]
    assert about["description"] in section
    assert f"* Type: {about['type']}\n" in section
    assert f"* Default: {'`' + about['default'] + '`' if about['default'] else 'empty'}\n" in section


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_is_in_the_reference_with_its_meaning(metric: str) -> None:
    assert re.search(rf"^\| `{metric}` \| (Counter|Timing): .+\. \|$", made("reference/metrics.md"), re.MULTILINE)


def test_the_reference_of_metrics_has_no_other() -> None:
    assert set(re.findall(r"`(segmind\.\w+)`", made("reference/metrics.md"))) == set(METRICS)


def _options(parser: ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, _SubParsersAction):
            for name, command in action.choices.items():
                yield name
                yield from _options(command)


@pytest.mark.parametrize("option", sorted(set(_options(__main__._parser())) - {"-h", "--help"}))
def test_every_option_of_the_emulator_is_described(option: str) -> None:
    assert re.search(rf"^ {{2,4}}{option}\b.*(\n {{6,}}\S.*|  \S.*)", made("reference/commands.md"), re.MULTILINE)


def test_every_fault_of_the_emulator_is_described() -> None:
    assert sorted(kind for kinds in EXPLAINED for kind in kinds.split(", ")) == sorted(KINDS)
    assert [kind for kind in KINDS if f"`{kind}`" not in made("reference/commands.md")] == []


def _billed_faults() -> Iterator[Any]:
    for kinds, billed in re.findall(
        r"^\| (`.*`) \| .* \| (no|\*\*yes\*\*|with status 200) \|$",
        made("reference/commands.md"),
        re.MULTILINE,
    ):
        for kind in re.findall(r"`([\w-]+)`", kinds):
            yield pytest.param(kind, None, int(billed != "no"), id=kind)
            if billed == "with status 200":
                yield pytest.param(kind, 502, 0, id=f"{kind}-502")


@pytest.mark.parametrize(("kind", "status", "bills"), list(_billed_faults()))
def test_a_fault_of_a_submit_bills_as_the_table_says(kind: str, status: int | None, bills: int) -> None:
    with Emulator() as emulator:
        emulator.script(Fault(kind, status=status, seconds=0.01, body="1" if kind == "huge" else None))
        headers = {"x-api-key": emulator.api_key}
        with contextlib.suppress(requests.RequestException):
            url = f"{emulator.url}/workflows/0123456789abcdef01234567-v1"
            requests.post(url, json={}, headers=headers, timeout=10, allow_redirects=False)
        assert len(emulator.charges) == bills


def test_the_reference_names_every_make_target_and_no_page_another() -> None:
    makefile = (ROOT / "Makefile").read_text()
    pages = [SAID, *((ROOT / name).read_text() for name in ("CONTRIBUTING.md", "CHANGELOG.md"))]
    named = {name for page in pages for name in re.findall(r"(?:`|^)make ([a-z][a-z-]*)", page, re.MULTILINE)}
    there = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE)) - {"help"}
    advertised = set(re.findall(r"@echo 'make ([a-z][a-z-]*)", makefile))
    assert named - there == set()
    said = set(re.findall(r"^make ([a-z][a-z-]*)", made("reference/commands.md"), re.MULTILINE))
    assert said == advertised
    # What only other targets use has a name that says so.
    assert {target for target in there if not target.endswith("-one")} - said == set()


def test_every_page_is_in_the_navigation_of_the_site() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in PAGES if page != README} | set(site_reference.PAGES)
    assert pages - set(re.findall(r": (\S+\.md)$", navigation, re.MULTILINE)) == set()
