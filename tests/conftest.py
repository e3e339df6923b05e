"""Fixtures for all tests; each module says what it gives."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

pytest_plugins = [
    "tests.fixtures.airflow_home",
    "tests.fixtures.shared",
    "tests.fixtures.servers",
    "tests.fixtures.airflow_server",
    "tests.fixtures.harbor",
    "tests.fixtures.browser",
    "tests.fixtures.demands_plugin",
    "tests.fixtures.order",
    "tests.fixtures.content",
]

# The tree may not be writable, and a shared machine is slow at times.
settings.register_profile("lifeboat", database=None, deadline=None)
settings.load_profile("lifeboat")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only root can show; all else runs as somebody whom PostgreSQL accepts."""
    if os.geteuid() != 0:
        left_out = [item for item in items if item.get_closest_marker("as_root")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
