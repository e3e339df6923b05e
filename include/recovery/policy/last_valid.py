"""The last valid policy of each system, kept beside its backups.

When a system's file is broken its schedules stop; what it promised is still known from here.
"""

from __future__ import annotations

from collections.abc import Iterable

import yaml
from pydantic import ValidationError

from include.recovery.errors import ObjectMissing, PolicyError
from include.recovery.policy.files import PolicySet
from include.recovery.policy.models import ProtectedSystem
from include.recovery.policy.sentences import dotted, sentence
from include.recovery.policy.yaml_source import BrokenYaml, read_yaml
from include.recovery.stores.port import ObjectStore

_HEAD = "# The last valid policy of this system, written by Lifeboat. The original is in the policies folder.\n"


def key_of(system: str) -> str:
    """Where a system's last valid policy is in the store."""
    return f"{system}/policy/last-valid.yaml"


def as_text(system: ProtectedSystem) -> str:
    """A policy as YAML that reads back to an equal one; the same policy always gives the same text."""
    values = system.model_dump(mode="json")  # with its nulls: null and left out may mean different things
    return _HEAD + yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)


def remember_policies(store: ObjectStore, policies: PolicySet, systems: Iterable[str] | None = None) -> tuple[str, ...]:
    """Keep the valid policies in the store; what is there already and equal is not written again.

    :param systems: names to look at; None means all. Systems whose file is broken keep what they had.
    :return: the names of those that were written.
    :raises StoreUnavailable: when the store cannot be reached.
    """
    wanted = policies.systems if systems is None else [name for name in systems if name in policies.systems]
    return tuple(name for name in wanted if _remember(store, policies.systems[name]))


def last_valid(store: ObjectStore, system: str) -> ProtectedSystem | None:
    """What a system's policy was when it last was valid; None when the store has none.

    :raises PolicyError: when it was written by a version whose policies this one cannot read.
    :raises StoreUnavailable: when the store cannot be reached.
    """
    key = key_of(system)
    try:
        data, _ = store.get(key)
    except ObjectMissing:
        return None
    try:
        return ProtectedSystem.model_validate(read_yaml(data.decode("utf-8")).value)
    except ValidationError as error:
        found = [sentence(ProtectedSystem, detail) for detail in error.errors()]
        problems = [f"{key}: {dotted(path)}: {text}" for path, text in found]
        raise PolicyError(problems) from None
    except (BrokenYaml, UnicodeDecodeError) as error:
        raise PolicyError([f"{key} in store {store.name}: {error}; remove the object, it is written again"]) from None


def _remember(store: ObjectStore, system: ProtectedSystem) -> bool:
    """Write one policy unless it is there already."""
    key, text = key_of(system.system), as_text(system).encode("utf-8")
    try:
        stored, _ = store.get(key)
    except ObjectMissing:
        stored = None
    if stored == text:
        return False
    store.put(key, text)
    return True
