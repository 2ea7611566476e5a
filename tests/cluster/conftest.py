"""A whole cluster takes minutes and packages of its own, so it runs only with ``make test-cluster``."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("CLUSTER") else ["test_*.py"]
