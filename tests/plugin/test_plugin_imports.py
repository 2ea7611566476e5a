"""Every Airflow process imports the plugin, each task's too, so it must cost next to nothing."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import json, sys
import airflow.sdk
try:
    from airflow.sdk.plugins_manager import integrate_macros_plugins
except ImportError:  # Airflow 3.1
    from airflow.plugins_manager import integrate_macros_plugins
before = set(sys.modules)
integrate_macros_plugins()
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_a_task_that_starts_imports_nothing_for_the_gallery_but_one_small_module() -> None:
    """As a task's process loads all plugins: neither FastAPI nor the database's models come in with ours."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    imported = json.loads(done.stdout.splitlines()[-1])
    ours = {name for name in imported if name.startswith("airflow_provider_segmind")}
    assert ours - {"airflow_provider_segmind"} == {"airflow_provider_segmind.plugin"}
    assert [name for name in imported if name.partition(".")[0] in ("fastapi", "starlette", "sqlalchemy", "PIL")] == []
