"""Who owns which field: server-side apply and merge patch over plain JSON.

Lists of maps that all have a name are merged by name, as the API does for containers, volumes, environments; every
other list is replaced as a whole. The real API server decides that by each list's schema.
"""

from __future__ import annotations

import copy
from typing import Any

Path = tuple[str, ...]
Owners = dict[Path, str]


class Conflict(Exception):
    """Another manager owns fields that would change.

    :param fields: as ``spec.replicas``, with the manager.
    """

    def __init__(self, fields: list[str]) -> None:
        self.fields = fields
        super().__init__(", ".join(fields))


def apply(live: dict[str, Any], wanted: dict[str, Any], owners: Owners, manager: str, *, force: bool) -> dict[str, Any]:
    """The object after a server-side apply; ``owners`` is changed with it.

    :raises Conflict: when it would change what others own, unless forced.
    """
    before, given = leaves(live), leaves(wanted)
    taken = [path for path, value in given.items() if before.get(path, value) != value]
    others = {path: owner for path in taken if (owner := owners.get(path, manager)) != manager}
    if others and not force:
        raise Conflict([f"{'.'.join(path)} ({owner})" for path, owner in sorted(others.items())])
    dropped = [path for path, owner in owners.items() if owner == manager and path in before and path not in given]
    result = _keyed(copy.deepcopy(live))
    for path in dropped:
        _remove(result, path)
        owners.pop(path, None)
    result = _merged(result, _keyed(wanted))
    owners.update(dict.fromkeys(given, manager))
    merged: dict[str, Any] = _listed(result)
    return merged


def merge(live: Any, change: Any) -> Any:
    """The object after a JSON merge patch (RFC 7386)."""
    if not isinstance(change, dict):
        return copy.deepcopy(change)
    result = dict(live) if isinstance(live, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result


def own(before: dict[str, Any], after: dict[str, Any], owners: Owners, manager: str) -> None:
    """Note who has changed what."""
    old, new = leaves(before), leaves(after)
    owners.update({path: manager for path, value in new.items() if old.get(path, _NOTHING) != value})
    for path in [path for path in owners if path not in new]:
        del owners[path]


def leaves(value: Any, path: Path = ()) -> dict[Path, Any]:
    """Every field with its value."""
    value = _keyed(value)
    if isinstance(value, dict) and value:
        return {at: leaf for key, child in value.items() for at, leaf in leaves(child, (*path, key)).items()}
    return {path: value}


_NOTHING = object()


def _keyed(value: Any) -> Any:
    """Lists that are merged by name become maps by ``[name]``."""
    if isinstance(value, dict):
        return {key: _keyed(child) for key, child in value.items()}
    if isinstance(value, list) and value and all(isinstance(each, dict) and "name" in each for each in value):
        return {f"[{each['name']}]": _keyed(each) for each in value}
    return value


def _listed(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if value and all(key.startswith("[") and isinstance(child, dict) for key, child in value.items()):
        return [_listed(child) for child in value.values()]
    return {key: _listed(child) for key, child in value.items()}


def _merged(live: Any, wanted: Any) -> Any:
    if isinstance(live, dict) and isinstance(wanted, dict):
        both = {key: _merged(value, wanted[key]) if key in wanted else value for key, value in live.items()}
        return {**both, **{key: value for key, value in wanted.items() if key not in live}}
    return wanted


def _remove(value: Any, path: Path) -> None:
    for key in path[:-1]:
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, dict):
        value.pop(path[-1], None)
