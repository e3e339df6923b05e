"""A manifest's file form, and the seal that shows later edits.

    {"manifest": {...}, "seal": {"algorithm": "HKDF-SHA-512 HMAC-SHA-512", "tag": "..."}}

Everybody can read it. The seal is a keyed hash of the manifest's canonical JSON, under a key derived from the backup's
own, so nobody without that key can change a digit. It is checked whenever the key is at hand. Without the key an edit
is still noticed: the index and every proof keep the SHA-512 of the file.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from pydantic import ValidationError

from include.recovery.catalog.layout import MANIFEST
from include.recovery.catalog.model import Manifest
from include.recovery.errors import ManifestInvalid, ObjectMissing
from include.recovery.keys.envelope import seal
from include.recovery.stores.port import ObjectStore

_ALGORITHM = "HKDF-SHA-512 HMAC-SHA-512"


def sealed(manifest: Manifest, key: bytes) -> bytes:
    """The file of a manifest."""
    document = manifest.model_dump(mode="json")
    tag = seal(key, canonical(document))
    return json.dumps(
        {"manifest": document, "seal": {"algorithm": _ALGORITHM, "tag": tag}}, indent=1, ensure_ascii=False
    ).encode()


def parsed(data: bytes, prefix: str) -> Manifest:
    """The manifest in a file.

    :param prefix: where the file was found; a manifest counts only at its own place.
    :raises ManifestInvalid: when it cannot be read or belongs elsewhere.
    """
    try:
        manifest = Manifest.model_validate(_envelope(data)["manifest"])
    except ValidationError as error:
        first = error.errors()[0]
        raise ManifestInvalid(
            f"manifest of backup {prefix.rstrip('/')}: {'.'.join(map(str, first['loc']))}: {first['msg']}; "
            "it is damaged or of a newer Lifeboat: use another copy, or update"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ManifestInvalid(
            f"manifest of backup {prefix.rstrip('/')} is not what Lifeboat writes ({error}); use another copy"
        ) from error
    if manifest.prefix != prefix:
        raise ManifestInvalid(
            f"manifest of backup {prefix.rstrip('/')} says that it is {manifest.name}: "
            "it was moved or edited; use another copy"
        )
    return manifest


def verify_seal(data: bytes, key: bytes, prefix: str) -> None:
    """Make sure that a manifest's file is what was written when the backup was made.

    :raises ManifestInvalid: when it is not.
    """
    try:
        envelope = _envelope(data)
        tag = str(envelope["seal"]["tag"])
        genuine = hmac.compare_digest(tag, seal(key, canonical(envelope["manifest"])))
    except (ValueError, KeyError, TypeError) as error:
        raise ManifestInvalid(f"manifest of backup {prefix.rstrip('/')} has no readable seal ({error})") from error
    if not genuine:
        raise edited(prefix, "its seal does not fit")


def edited(prefix: str, how: str) -> ManifestInvalid:
    """The error for a manifest that somebody changed."""
    return ManifestInvalid(
        f"manifest of backup {prefix.rstrip('/')} was changed after the backup was made: {how}; "
        "do not restore from it, use another copy or recovery point, and find out who changed it"
    )


def digest(data: bytes) -> str:
    """SHA-512 of a manifest's file."""
    return hashlib.sha512(data).hexdigest()


def canonical(document: Any) -> bytes:
    """JSON with sorted keys, no spaces, in UTF-8: the form that is sealed."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def fetch(store: ObjectStore, prefix: str) -> bytes:
    """A manifest's file, also when a plain delete has hidden it.

    :raises ObjectMissing: when there is none.
    """
    return read_behind_marker(store, prefix + MANIFEST)


def read_behind_marker(store: ObjectStore, key: str) -> bytes:
    """A small object; when a plain delete has hidden it, its newest version.

    :raises ObjectMissing: when there is no version either.
    """
    try:
        return store.get(key)[0]
    except ObjectMissing:
        for version in store.versions(key):
            if version.key == key and not version.marker:
                return store.get(key, version.id)[0]
        raise


def _envelope(data: bytes) -> dict[str, Any]:
    envelope = json.loads(data)
    if not isinstance(envelope, dict) or set(envelope) != {"manifest", "seal"}:
        raise ValueError("it must have exactly a manifest and a seal")
    return envelope
