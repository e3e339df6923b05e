"""Fixtures for all tests; each module says what it gives."""

from __future__ import annotations

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
