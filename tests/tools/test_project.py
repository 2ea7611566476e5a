"""What pyproject.toml says of versions agrees with what is tried, and no model is without a licence."""

from __future__ import annotations

import re
import tomllib

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from tests.listed import listed
from tools.environment import ROOT
from tools.release import supported_airflows

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_oldest_airflow_that_is_required_is_the_oldest_that_is_tried() -> None:
    (airflow,) = [found for found in map(Requirement, PROJECT["dependencies"]) if found.name == "apache-airflow"]
    assert str(airflow.specifier) == f">={supported_airflows(ROOT)[0]}"


def test_the_classifiers_name_only_pythons_that_are_allowed() -> None:
    named = [found[1] for name in PROJECT["classifiers"] if (found := re.fullmatch(r".* :: Python :: (3\.\d+)", name))]
    assert named
    assert [version for version in named if version not in SpecifierSet(PROJECT["requires-python"])] == []


def test_each_model_is_named_in_notice_and_has_its_licence_beside_it() -> None:
    models = [name for name in listed(ROOT) if re.search(r"\.(tflite|onnx|task|pt|pth|pb|h5|safetensors|bin)$", name)]
    assert len(models) >= 3
    notice = (ROOT / "NOTICE").read_text()
    assert [name for name in models if name.rpartition("/")[2] not in notice] == []
    assert [name for name in models if not (ROOT / name).with_name("LICENSE").exists()] == []
