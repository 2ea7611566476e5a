"""What Airflow is told about this provider is valid, complete and true."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import airflow
import jsonschema
import pytest

import airflow_provider_segmind
from airflow_provider_segmind.api.models import KNOWN_EXTRAS
from airflow_provider_segmind.get_provider_info import get_provider_info
from airflow_provider_segmind.hooks.segmind import SegmindHook
from airflow_provider_segmind.plugin import PREFIX

INFO = get_provider_info()
ROOT = Path(__file__).resolve().parents[2]


def schema() -> Any:
    paths = [Path(root) / "provider_info.schema.json" for root in airflow.__path__]
    return json.loads(next(path for path in paths if path.exists()).read_text())


def dotted_names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for part in value.values():
            yield from dotted_names(part)
    elif isinstance(value, list):
        for part in value:
            yield from dotted_names(part)
    elif isinstance(value, str) and value.startswith("airflow_provider_segmind."):
        yield value


def test_it_is_valid_against_airflows_own_schema() -> None:
    jsonschema.validate(INFO, schema())


def test_every_dotted_name_in_it_can_be_imported() -> None:
    names = list(dotted_names(INFO))
    assert len(names) > 5
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            module, _, attribute = name.rpartition(".")
            assert hasattr(importlib.import_module(module), attribute), name


@pytest.mark.parametrize("kind", ["hooks", "operators", "sensors", "triggers"])
def test_every_module_with_something_to_import_is_in_it(kind: str) -> None:
    listed = {module for entry in INFO[kind] for module in entry["python-modules"]}
    package = importlib.import_module(f"airflow_provider_segmind.{kind}")
    public = {"Hook", "Operator", "Sensor", "Trigger"}
    found = set()
    for part in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(part.name)
        own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == part.name]
        if any(name.endswith(tuple(public)) for name in own):
            found.add(part.name)
    assert listed == found


def test_the_distribution_announces_it() -> None:
    (entry,) = [
        entry
        for entry in importlib.metadata.entry_points(group="apache_airflow_provider")
        if entry.value.startswith("airflow_provider_segmind")
    ]
    assert entry.load()() == INFO
    assert importlib.metadata.version(INFO["package-name"]) == airflow_provider_segmind.__version__


def test_the_form_has_a_field_for_every_extra_and_calls_the_password_api_key() -> None:
    (connection,) = INFO["connection-types"]
    assert set(connection["conn-fields"]) == KNOWN_EXTRAS
    assert all("null" in field["schema"]["type"] for field in connection["conn-fields"].values())
    assert connection["ui-field-behaviour"]["relabeling"]["password"] == "API key"
    assert SegmindHook.get_ui_field_behaviour()["relabeling"]["password"] == "API key"
    assert set(SegmindHook.get_ui_field_behaviour()) == {"hidden_fields", "relabeling", "placeholders"}


@pytest.mark.skipif(
    importlib.metadata.version("apache-airflow") == "3.1.0", reason="its forms need Flask-AppBuilder, later ones do not"
)
def test_airflows_own_form_calls_the_password_api_key_and_has_every_field() -> None:
    code = """
import warnings; warnings.simplefilter("ignore")
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
(meta,) = [meta for meta in HookMetaService.hook_meta_data() if meta.connection_type == "segmind"]
print(meta.hook_class_name, meta.hook_name, meta.standard_fields.password.title, ",".join(sorted(meta.extra_fields)))
"""
    seen = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120).stdout
    fields = ",".join(sorted(KNOWN_EXTRAS))
    assert f"airflow_provider_segmind.hooks.segmind.SegmindHook Segmind API key {fields}\n" in seen


def test_importing_the_package_and_its_info_costs_nothing() -> None:
    code = (
        "import sys; from airflow_provider_segmind.get_provider_info import *; get_provider_info(); print(*sys.modules)"
    )
    modules = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    assert not {"airflow", "requests", "aiohttp", "PIL"} & set(modules.split())


def test_its_guides_are_in_the_repository_and_its_logo_is_where_the_plugin_serves_it() -> None:
    (integration,) = INFO["integrations"]
    guides = [*integration["how-to-guide"], *(transfer["how-to-guide"] for transfer in INFO["transfers"])]
    assert all((ROOT / guide.lstrip("/")).is_file() for guide in guides)
    folder, _, name = integration["logo"].rpartition("/")
    assert folder == f"{PREFIX}/static"
    logo = (Path(airflow_provider_segmind.__path__[0]) / "plugin" / "static" / name).read_text()
    assert logo.startswith("<svg")
    assert "script" not in logo


def test_the_package_is_typed() -> None:
    assert (Path(airflow_provider_segmind.__path__[0]) / "py.typed").exists()
