"""An object of which only the newest version is of use."""

from __future__ import annotations

import contextlib

from include.recovery.errors import LifeboatError
from include.recovery.stores.port import ObjectStore


def put_latest(store: ObjectStore, key: str, data: bytes, deleter: ObjectStore | None = None) -> None:
    """Put an object in the place of the one before it, and remove the old versions.

    :param deleter: the store with credentials that may delete versions, so that old ones do not pile up; None: these.
    :raises StoreUnavailable: when the store does not answer.
    """
    deleter = deleter or store
    store.put(key, data)
    # Nobody reads the old ones; where they cannot be removed, they only take room.
    with contextlib.suppress(LifeboatError):
        for version in deleter.versions(key):
            if version.key == key and not version.latest:
                deleter.delete(key, version.id)
