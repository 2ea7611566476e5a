"""What is missing, too much, secret, unlicensed or too large in a built file is named, and nothing else is."""

from __future__ import annotations

import pytest

from tests.tools.made import ABOUT, MODEL, Made
from tools.release import contents
from tools.release.contents import DOCUMENTED_KEY
from tools.release.findings import Finding
from tools.release.packages import Package

PLUGIN = "airflow_provider_segmind/plugin/__init__.py"


def whats(found: list[Finding]) -> list[str]:
    assert all(finding.remedy and finding.blocks for finding in found)
    return [finding.what.replace("airflow_provider_segmind-1.2.0-py3-none-any.whl", "WHEEL") for finding in found]


def everything(made: Made, package: Package) -> list[Finding]:
    return [
        *contents.check_files(package, made.sources),
        *contents.check_leftovers(package),
        *contents.check_secrets(package),
        *contents.check_licences(package, made.sources),
        *contents.check_size(package),
    ]


def test_nothing_is_found_in_what_is_complete(made: Made) -> None:
    assert everything(made, made.wheel()) == everything(made, made.sdist()) == []


def test_a_committed_module_that_the_wheel_lacks_is_named(made: Made) -> None:
    made.committed["airflow_provider_segmind/operators/batch.py"] = "a = 1\n"
    wheel = made.wheel({"airflow_provider_segmind/operators/batch.py": None})
    (finding,) = contents.check_files(wheel, made.sources)
    assert whats([finding]) == ["WHEEL lacks airflow_provider_segmind/operators/batch.py"]
    assert "[tool.hatch.build.targets.wheel] in pyproject.toml" in finding.remedy


def test_what_no_wheel_may_lack_is_missed_even_if_it_is_not_committed(made: Made) -> None:
    del made.committed["airflow_provider_segmind/py.typed"]
    assert whats(contents.check_files(made.wheel(), made.sources)) == ["WHEEL lacks airflow_provider_segmind/py.typed"]


def test_what_is_not_committed_or_differs_is_named(made: Made) -> None:
    wheel = made.wheel({"airflow_provider_segmind/draft.py": "", "else.txt": "", PLUGIN: "changed"})
    assert whats(contents.check_files(wheel, made.sources)) == [
        "WHEEL has, though it is not committed, airflow_provider_segmind/draft.py, else.txt",
        f"WHEEL has with another content than is committed {PLUGIN}",
    ]


def test_the_example_dags_are_in_the_wheels_package(made: Made) -> None:
    made.committed["example_dags/swap.py"] = "a = 1\n"
    name = "airflow_provider_segmind/example_dags/swap.py"
    assert whats(contents.check_files(made.wheel(), made.sources)) == [f"WHEEL lacks {name}"]
    assert whats(contents.check_files(made.wheel({name: "a = 1\n"}), made.sources)) == []
    assert whats(contents.check_files(made.wheel({name: "a = 2\n"}), made.sources)) == [
        f"WHEEL has with another content than is committed {name}"
    ]


def test_an_sdist_needs_all_that_its_tests_need(made: Made) -> None:
    (finding,) = contents.check_files(made.sdist({"Makefile": None, "tests/test_it.py": None}), made.sources)
    assert finding.what == "airflow_provider_segmind-1.2.0.tar.gz lacks Makefile, tests/test_it.py"
    assert "[tool.hatch.build.targets.sdist]" in finding.remedy


def test_many_files_are_counted_not_listed(made: Made) -> None:
    wheel = made.wheel({f"airflow_provider_segmind/{number}.py": "" for number in range(9)})
    (finding,) = contents.check_files(wheel, made.sources)
    assert finding.what.endswith("airflow_provider_segmind/4.py and 4 more")


@pytest.mark.parametrize(
    "name",
    ["__pycache__/a.cpython-311.pyc", "a.pyc", ".env", "hooks/.DS_Store", "a.py.orig", "x.egg-info/PKG-INFO"],
)
def test_remains_of_tools_are_found_even_if_they_are_committed(made: Made, name: str) -> None:
    made.committed[f"airflow_provider_segmind/{name}"] = ""
    for package in (made.wheel(), made.sdist()):
        (finding,) = contents.check_leftovers(package)
        assert finding.what.endswith(f" has remains of tools: airflow_provider_segmind/{name}")


@pytest.mark.parametrize("name", ["tests/world.py", "conftest.py", "hooks/test_hook.py"])
def test_tests_have_no_place_in_a_wheel(made: Made, name: str) -> None:
    made.committed[f"airflow_provider_segmind/{name}"] = ""
    assert whats(contents.check_leftovers(made.wheel())) == [f"WHEEL has tests: airflow_provider_segmind/{name}"]
    assert contents.check_leftovers(made.sdist()) == []


# Put together here, so that this file does not have what it is looked for.
SECRETS = {
    "a key of Segmind": "SG_" + "0f" * 8,
    "a private key": "-----BEGIN EC " + "PRIVATE KEY-----",
    "a key of AWS": "AKIA" + "ABCDEFGH01234567",
    "a token of GitHub": "ghp_" + "a1" * 18,
    "a token of PyPI": "pypi-" + "AgEIcHlwaS5vcmc" * 4,
}


@pytest.mark.parametrize(("sort", "secret"), SECRETS.items())
def test_what_looks_like_a_secret_is_found_and_not_repeated(made: Made, sort: str, secret: str) -> None:
    made.committed[PLUGIN] = f'KEY = "{secret}"\n'
    for package in (made.wheel(), made.sdist()):
        (finding,) = contents.check_secrets(package)
        assert finding.what == f"{package.path.name}: {PLUGIN} has what looks like {sort}"
        assert secret not in finding.what + finding.remedy


def test_the_emulators_key_is_no_secret(made: Made) -> None:
    made.committed[PLUGIN] = f'KEY = "{DOCUMENTED_KEY.decode()}"\n'
    assert contents.check_secrets(made.wheel()) == []


@pytest.mark.parametrize("name", ["LICENSE", "NOTICE"])
def test_a_licence_that_is_missing_or_another_one_is_named(made: Made, name: str) -> None:
    for text in (None, "another"):
        found = contents.check_licences(made.wheel({f"{ABOUT}/licenses/{name}": text}), made.sources)
        assert whats(found) == [f"WHEEL: {ABOUT}/licenses/{name} is missing, or another one"]
        (finding,) = contents.check_licences(made.sdist({name: text}), made.sources)
        assert finding.what.endswith(f"{name} is missing, or another one")


def test_a_licence_that_the_metadata_does_not_name_is_named(made: Made) -> None:
    made.metadata = made.metadata.replace("License-File: NOTICE\n", "")
    found = contents.check_licences(made.wheel(), made.sources)
    assert whats(found) == ["WHEEL: its metadata does not name License-File: NOTICE"]


def test_a_model_needs_a_notice_and_a_licence(made: Made) -> None:
    made.committed["airflow_provider_segmind/other/hand.onnx"] = "a model"
    assert whats(contents.check_licences(made.wheel(), made.sources)) == [
        "WHEEL: airflow_provider_segmind/other/hand.onnx is not named in NOTICE",
        "WHEEL: airflow_provider_segmind/other/hand.onnx has no LICENSE beside it",
    ]


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_a_file_over_its_limit_is_named_with_what_makes_it_large(
    made: Made, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made.committed[MODEL] = "a model " * 100
    package = made.wheel() if kind == "wheel" else made.sdist()
    size = package.path.stat().st_size
    monkeypatch.setitem(contents.LIMITS, kind, size)
    assert contents.check_size(package) == []
    monkeypatch.setitem(contents.LIMITS, kind, size - 1)
    (finding,) = contents.check_size(package)
    assert f"{package.path.name} has {size:,} bytes, and {size - 1:,} are allowed; largest: {MODEL}" in finding.what
