"""Helm's releases: each revision is one Secret (or ConfigMap) that holds the release as base64 of gzip of JSON.

The Secret is kept whole, so ``helm rollback`` works after it was put back; beside it stand the values, readable.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from include.recovery.errors import BackupCorrupt
from include.recovery.kubernetes.document import Object, kind_of, plain_text

SECRET_TYPE = "helm.sh/release.v1"  # noqa: S105 - a type's name
FOLDER = "helm"
_MOST_BYTES = 64 * 1024 * 1024
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Release:
    """One revision of a release.

    :param content: as Helm has written it.
    """

    namespace: str
    name: str
    revision: int
    content: Mapping[str, Any]

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Path and text of each readable file: what it is, the user's values, the chart's own, the manifest."""
        folder = f"{FOLDER}/{quote(self.namespace, safe='')}/{quote(self.name, safe='')}/v{self.revision}"
        chart = self.content.get("chart") or {}
        about = {
            "name": self.name, "namespace": self.namespace, "revision": self.revision,
            "info": self.content.get("info") or {}, "chart": chart.get("metadata") or {},
        }  # fmt: skip
        yield f"{folder}/release.yaml", plain_text(about).encode()
        yield f"{folder}/values.yaml", plain_text(self.content.get("config") or {}).encode()
        yield f"{folder}/chart-values.yaml", plain_text(chart.get("values") or {}).encode()
        yield f"{folder}/manifest.yaml", str(self.content.get("manifest") or "").encode()


def is_release(found: Object) -> bool:
    """Whether an object holds a release of Helm."""
    if kind_of(found) == "core/Secret":
        return found.get("type") == SECRET_TYPE
    if kind_of(found) != "core/ConfigMap" or (found["metadata"].get("labels") or {}).get("owner") != "helm":
        return False
    return "release" in (found.get("data") or {})


def release_of(found: Object) -> Release:
    """The release that an object holds.

    :raises BackupCorrupt: when it cannot be decoded, without quoting any of it.
    """
    metadata = found["metadata"]
    where = f"{metadata.get('namespace')}/{metadata['name']}"
    try:
        payload = str(found["data"]["release"])
        if kind_of(found) == "core/Secret":
            payload = base64.b64decode(payload, validate=True).decode("ascii")
        packed = base64.b64decode(payload, validate=True)
        content = json.loads(_unpacked(packed) if packed.startswith(_GZIP) else packed)
        name, revision = str(content["name"]), int(content["version"])
    except (KeyError, TypeError, ValueError, binascii.Error, zlib.error):
        raise BackupCorrupt(f"the release of Helm in {where} cannot be decoded") from None
    return Release(str(metadata.get("namespace") or content.get("namespace") or ""), name, revision, content)


def _unpacked(packed: bytes) -> bytes:
    unzip = zlib.decompressobj(wbits=31)
    content = unzip.decompress(packed, _MOST_BYTES)
    if not unzip.eof:
        raise ValueError("longer than any release, or incomplete")
    return content
