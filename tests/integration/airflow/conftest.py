"""All tests of this folder share one Airflow and two small databases, so they take turns."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures.shared import SharedServers


@pytest.fixture(autouse=True)
def turn(shared_servers: SharedServers) -> Iterator[None]:
    """One test at a time, also when pytest-xdist spreads the files over several processes."""
    with shared_servers.locked("airflow-turn"):
        yield
