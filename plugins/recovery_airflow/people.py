"""Names of the policy to users of Airflow, and back: the one place that knows how they differ.

With Airflow's simple auth manager a user's id is the user name. With FAB it is a number: set ``LIFEBOAT_USER_IDS`` to a
JSON object of user name to id, such as ``{"ada": "3"}``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from include.recovery.errors import PolicyError

if TYPE_CHECKING:
    from airflow.sdk.execution_time.hitl import HITLUser

VARIABLE = "LIFEBOAT_USER_IDS"


def user_ids(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """User name to Airflow id, where the two differ.

    :raises PolicyError: when the variable is set and is not a JSON object.
    """
    text = (os.environ if environ is None else environ).get(VARIABLE, "")
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise PolicyError([f'{VARIABLE} is not JSON ({error}); give an object such as {{"ada": "3"}}']) from error
    if not isinstance(found, dict):
        raise PolicyError([f'{VARIABLE} must be a JSON object of user name to id, such as {{"ada": "3"}}'])
    return {str(name): str(number) for name, number in found.items()}


def airflow_users(names: Iterable[str], ids: Mapping[str, str]) -> list[HITLUser]:
    """The people as Airflow's approval tasks want them."""
    return [{"id": ids.get(name, name), "name": name} for name in names]


def policy_name(user_id: str, ids: Mapping[str, str]) -> str:
    """The name in the policy of the Airflow user with this id."""
    return next((name for name, number in ids.items() if number == user_id), user_id)
