"""The DAGs of the shipped policies, built once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from airflow.sdk import DAG

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def dags() -> Iterator[dict[str, DAG]]:
    from recovery_airflow.dag_catalogue import load_dags

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIFEBOAT_POLICIES", str(ROOT / "include" / "policies"))
        yield {dag.dag_id: dag for dag in load_dags()}
