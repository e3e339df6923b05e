"""All tests of this folder share one Airflow and three small systems; those of one system take turns."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures.order import airflow_group
from tests.fixtures.shared import SharedServers


@pytest.fixture(autouse=True)
def turn(shared_servers: SharedServers, request: pytest.FixtureRequest) -> Iterator[None]:
    """One test at a time, also when pytest-xdist spreads the files over several processes."""
    with shared_servers.locked(f"airflow-turn-{airflow_group(request.node.nodeid)}"):
        yield
