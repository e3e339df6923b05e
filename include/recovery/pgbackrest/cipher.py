"""The pass that a repository is encrypted with: random for each stanza and store, wrapped as every backup's key is.

It lies beside the backups, so bucket and key are enough to restore:

    <system>/<source>/pgbackrest/cipher/<number>     the pass, wrapped; the newest counts, all hold the same pass

The numbers are those of ``catalog/numbered.py``: of two who make the first, one wins, and both go on with the winner's.
Rotation wraps the same pass again under the next number. pgBackRest cannot change the pass of a repository.
"""

from __future__ import annotations

import contextlib

from pydantic import ValidationError

from include.recovery.catalog.layout import source_prefix
from include.recovery.catalog.model import KeyRecord
from include.recovery.catalog.numbered import Numbered
from include.recovery.errors import KeyUnavailable, PreconditionFailed, WrongKey
from include.recovery.keys.envelope import Keyring, encoded
from include.recovery.stores.port import ObjectStore

KIND = "pgbackrest"


def cipher_prefix(system: str, source: str) -> str:
    """Where the wrapped pass is."""
    return f"{source_prefix(system, source, KIND)}cipher/"


def cipher_pass(store: ObjectStore, keyring: Keyring, system: str, source: str, *, create: bool = False) -> str:
    """The pass of a source's repository in a store: base64 of the 32 bytes that the record wraps.

    :param create: make one when there is none yet; never where a repository exists already.
    :raises KeyUnavailable: when there is none, or it cannot be unwrapped.
    """
    passes = Numbered(store, cipher_prefix(system, source))
    newest = passes.newest()
    if newest is None:
        if not create:
            raise KeyUnavailable(
                f"store {store.name} has no pass for the repository of {system}/{source} below "
                f"{cipher_prefix(system, source)}; copy that folder from where the repository was copied from"
            )
        _, record = keyring.new_key(_context(store, system, source))
        with contextlib.suppress(PreconditionFailed):
            # When somebody makes one at the same moment, the first counts for both.
            passes.write(1, _file(record))
        newest = passes.newest()
        assert newest is not None
    return encoded(keyring.unwrap(_record(passes.read(newest), newest.key, store, system, source)))


def rewrap(store: ObjectStore, keyring: Keyring, system: str, source: str) -> None:
    """Wrap the same pass again for the recipients of today; the earlier records stay.

    :raises KeyUnavailable: when there is none, or it cannot be unwrapped.
    :raises PreconditionFailed: when somebody else does the same right now.
    """
    passes = Numbered(store, cipher_prefix(system, source))
    newest = passes.newest()
    if newest is None:
        raise KeyUnavailable(f"store {store.name} has no pass for the repository of {system}/{source} to wrap again")
    key = keyring.unwrap(_record(passes.read(newest), newest.key, store, system, source))
    passes.write(newest.number + 1, _file(keyring.wrap(key, _context(store, system, source))))


def _context(store: ObjectStore, system: str, source: str) -> dict[str, str]:
    return {"system": system, "source": source, "kind": KIND, "backup": f"repository in {store.name}"}


def _file(record: KeyRecord) -> bytes:
    return record.model_dump_json(indent=1).encode()


def _record(data: bytes, key: str, store: ObjectStore, system: str, source: str) -> KeyRecord:
    try:
        record = KeyRecord.model_validate_json(data)
    except ValidationError as error:
        raise KeyUnavailable(
            f"{key} in store {store.name} is no key record; copy the folder from another store"
        ) from error
    if (record.context.get("system"), record.context.get("source")) != (system, source):
        raise WrongKey(
            f"{key} in store {store.name} is the pass of {'/'.join(record.context.values())}, not of {system}/{source}"
        )
    return record
