"""Fixtures for all tests; each module says what it gives."""

from __future__ import annotations

pytest_plugins = ["tests.fixtures.airflow_home", "tests.fixtures.shared", "tests.fixtures.servers"]
