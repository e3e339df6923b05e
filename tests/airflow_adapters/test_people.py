"""Names of the policy and ids of Airflow."""

from __future__ import annotations

import pytest

from include.recovery.errors import PolicyError
from recovery_airflow.people import VARIABLE, airflow_users, policy_name, user_ids


def test_without_a_mapping_a_users_id_is_the_name() -> None:
    assert user_ids({}) == {}
    assert airflow_users(["ada"], {}) == [{"id": "ada", "name": "ada"}]
    assert policy_name("ada", {}) == "ada"


def test_fab_ids_go_there_and_back() -> None:
    ids = user_ids({VARIABLE: '{"ada": 3, "grace": "4"}'})
    assert airflow_users(["ada"], ids) == [{"id": "3", "name": "ada"}]
    assert policy_name("4", ids) == "grace"


@pytest.mark.parametrize("text", ["ada=3", "[1]", '"ada"'])
def test_a_bad_mapping_is_refused(text: str) -> None:
    with pytest.raises(PolicyError, match=VARIABLE):
        user_ids({VARIABLE: text})
