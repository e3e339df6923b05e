"""Objects that are written once: the first version counts, whatever was written or deleted on top of it.

In a versioned bucket a later write or a plain delete only covers the first version, and a writer that lost a race may
leave its version on top. So what was approved, done or chained is read from the oldest version.
"""

from __future__ import annotations

from include.recovery.errors import ObjectMissing, PreconditionFailed
from include.recovery.stores.port import ObjectStore, ObjectVersion


def write_once(store: ObjectStore, key: str, data: bytes) -> bool:
    """Write an object unless it exists; False when it does, also behind a delete marker."""
    try:
        store.put(key, data, if_absent=True)
    except PreconditionFailed:
        return False
    return True


def read_once(store: ObjectStore, key: str) -> bytes:
    """What the first writer of an object wrote.

    :raises ObjectMissing: when nobody has.
    """
    version = _first_versions(store, key).get(key)
    if version is None:
        raise ObjectMissing(f"store {store.name} has no object {key}")
    return store.get(key, version.id)[0]


def written_once(store: ObjectStore, prefix: str) -> list[str]:
    """Keys of the objects below a prefix in order, those that a plain delete hides included."""
    return sorted(_first_versions(store, prefix))


def _first_versions(store: ObjectStore, prefix: str) -> dict[str, ObjectVersion]:
    # Within a key the newest version comes first, so the last one that is seen is the oldest.
    return {version.key: version for version in store.versions(prefix) if not version.marker}
