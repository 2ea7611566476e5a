"""A small project of its own, with the wheel and sdist that would be built from it."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tools.release import packages
from tools.release.contents import NEEDED
from tools.release.packages import Package
from tools.release.sources import Sources

MODEL = "airflow_provider_segmind/quality/models/face.tflite"
ABOUT = "airflow_provider_segmind-1.2.0.dist-info"
PYPROJECT = """\
[project]
requires-python = ">=3.11"
[project.entry-points.apache_airflow_provider]
provider_info = "airflow_provider_segmind.get_provider_info:get_provider_info"
[project.entry-points."airflow.plugins"]
segmind = "airflow_provider_segmind.plugin:SegmindPlugin"
"""
ENTRY_POINTS = """\
[airflow.plugins]
segmind = airflow_provider_segmind.plugin:SegmindPlugin

[apache_airflow_provider]
provider_info = airflow_provider_segmind.get_provider_info:get_provider_info
"""
METADATA = """\
Metadata-Version: 2.4
Name: airflow-provider-segmind
Version: 1.2.0
License-File: LICENSE
License-File: NOTICE
Classifier: Programming Language :: Python :: 3.11
Classifier: Programming Language :: Python :: 3.13
Requires-Python: >=3.11
Requires-Dist: apache-airflow-providers-http>=6
Requires-Dist: apache-airflow>=3.1
"""


def _committed() -> dict[str, str]:
    return {
        **{name: f"# {name}\n" for name in NEEDED},
        MODEL: "a model",
        "airflow_provider_segmind/quality/models/LICENSE": "Theirs",
        ".ci/run": "make test\n",
        "CHANGELOG.md": "# Changelog\n\n## 1.2.0 (2026-01-31)\n\n## 1.1.0 (2025-12-01)\n",
        "LICENSE": "Apache\n",
        "Makefile": "test:\n",
        "NOTICE": "face.tflite is theirs\n",
        "constraints/airflow-3.1.txt": "",
        "constraints/airflow-3.10.txt": "",
        "constraints/airflow-3.9.txt": "",
        "pyproject.toml": PYPROJECT,
        "tests/test_it.py": "",
    }


@dataclass
class Made:
    """
    The project, and what is built from it.

    :param folder: an empty folder.
    :param committed: its files; change them before :attr:`sources` or a package is made.
    :param metadata: that of both packages.
    """

    folder: Path
    committed: dict[str, str] = field(default_factory=_committed)
    metadata: str = METADATA

    @property
    def sources(self) -> Sources:
        for name, text in self.committed.items():
            path = self.folder / "source" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Sources(self.folder / "source", frozenset(self.committed))

    def wheel(self, changes: Mapping[str, str | None] | None = None) -> Package:
        """Build a wheel; ``changes`` replaces what files in it have, or with ``None`` leaves them out."""
        files: dict[str, str | None] = {
            **{name: text for name, text in self.committed.items() if name.startswith("airflow_provider_segmind/")},
            f"{ABOUT}/METADATA": self.metadata,
            f"{ABOUT}/WHEEL": "Wheel-Version: 1.0\n",
            f"{ABOUT}/RECORD": "",
            f"{ABOUT}/entry_points.txt": ENTRY_POINTS,
            f"{ABOUT}/licenses/LICENSE": self.committed["LICENSE"],
            f"{ABOUT}/licenses/NOTICE": self.committed["NOTICE"],
            **(changes or {}),
        }
        path = self.folder / "airflow_provider_segmind-1.2.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as packed:
            for name, text in files.items():
                if text is not None:
                    packed.writestr(name, text)
        return packages.read(path)

    def sdist(self, changes: Mapping[str, str | None] | None = None) -> Package:
        """Build an sdist; ``changes`` as in :meth:`wheel`."""
        shipped = {name: text for name, text in self.committed.items() if not name.startswith(".ci/")}
        files: dict[str, str | None] = {**shipped, "PKG-INFO": self.metadata, **(changes or {})}
        path = self.folder / "airflow_provider_segmind-1.2.0.tar.gz"
        with tarfile.open(path, "w:gz") as packed:
            for name, text in files.items():
                if text is not None:
                    entry = tarfile.TarInfo(f"airflow_provider_segmind-1.2.0/{name}")
                    entry.size = len(text.encode())
                    packed.addfile(entry, io.BytesIO(text.encode()))
        return packages.read(path)
