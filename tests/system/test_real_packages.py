"""The wheel and the sdist install into an empty environment, and Airflow finds the provider there."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
CONSTRAINTS = ROOT / "constraints" / f"airflow-{'.'.join(version('apache-airflow').split('.')[:2])}.txt"

MODELS = {
    f"airflow_provider_segmind/quality/models/{name}"
    for name in (
        "LICENSE",
        "face_detection_full_range_sparse.tflite",
        "pose_detection.tflite",
        "selfie_segmentation.tflite",
    )
}


def run(*command: object, **env: str) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", **env},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build both from a copy of what git tracks, as a release would."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", out, ROOT)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sdist


def test_the_wheel_has_the_package_and_its_licence_and_nothing_else(packages: tuple[Path, Path]) -> None:
    names = zipfile.ZipFile(packages[0]).namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"airflow_provider_segmind"}
    assert "airflow_provider_segmind/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert any(name.endswith("licenses/NOTICE") for name in names)
    assert not [name for name in names if "test" in name or name.endswith(".pyc")]
    assert set(names) >= MODELS


def test_the_sdist_can_be_built_from_and_has_the_examples(packages: tuple[Path, Path]) -> None:
    with tarfile.open(packages[1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "NOTICE", "example_dags/body_swap.py", *MODELS} <= names


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_it_installs_into_an_empty_environment(
    packages: tuple[Path, Path], kind: str, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    home = tmp_path_factory.getbasetemp() / "empty"
    python = home / "bin" / "python"
    package = packages[kind == "sdist"]
    if not python.exists():
        run(sys.executable, "-m", "venv", home)
    # The second kind finds the dependencies there: what is to be seen is that it builds and installs.
    run(python, "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps", package)
    run(python, "-m", "pip", "install", "--quiet", package, "--constraint", CONSTRAINTS)
    env = {"AIRFLOW_HOME": str(tmp_path), "PYTHONPATH": "", "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
    code = "import airflow_provider_segmind as a, sys; sys.stdout.write(a.__file__)"
    assert str(home) in run(python, "-I", "-c", code)
    assert "airflow-provider-segmind" in run(home / "bin" / "airflow", "providers", "list", **env)
