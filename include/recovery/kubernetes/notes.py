"""What is told of the objects that pass by while they are backed up, and the files that are made of them."""

from __future__ import annotations

from collections.abc import Iterator

from include.recovery.catalog.model import LeftOut
from include.recovery.content.port import Site
from include.recovery.errors import BackupCorrupt
from include.recovery.kubernetes.dapr import state_store_note
from include.recovery.kubernetes.document import Object, kind_of, name_of
from include.recovery.kubernetes.helm import is_release, release_of
from include.recovery.kubernetes.made_anew import SEALED
from include.recovery.policy.source_kinds.kubernetes import KubernetesSource

_SEALING_KEY = "sealedsecrets.bitnami.com/sealed-secrets-key"
_CLAIM = "core/PersistentVolumeClaim"


class Notes:
    """Give it each object that is kept; in the end it tells what the backup cannot hold."""

    def __init__(self, site: Site[KubernetesSource]) -> None:
        self._site = site
        self._told: list[LeftOut] = []
        self._claims: list[str] = []
        self._sealed, self._has_key = 0, False

    def take(self, found: Object) -> Iterator[tuple[str, bytes]]:
        """Look at an object; path and content of each file that is made of it."""
        kind, metadata = kind_of(found), found["metadata"]
        store = state_store_note(found, self._site.system, self._site.source, self._site.workspace.connections)
        if store is not None:
            self._told.append(store)
        if kind == _CLAIM:
            self._claims.append(f"{metadata.get('namespace')}/{metadata['name']}")
        self._sealed += kind == SEALED
        self._has_key = self._has_key or _SEALING_KEY in (metadata.get("labels") or {})
        if is_release(found):
            try:
                yield from release_of(found).files()
            except BackupCorrupt as error:
                why = f"{error}; the object itself is kept whole"
                self._told.append(LeftOut(what=f"readable values of {name_of(found)}", why=why))

    def told(self) -> Iterator[LeftOut]:
        """For the manifest."""
        yield from self._told
        if self._claims:
            yield LeftOut(
                what=f"what is in the volumes of {', '.join(self._claims)}",
                why="resources are kept here, not what volumes hold: that is backed up by a source of its own kind",
            )
        if self._sealed and not self._has_key:
            yield LeftOut(
                what=f"the keys that open {self._sealed} SealedSecrets",
                why="they are Secrets in the namespace of the sealing controller, which the policy does not choose: "
                "without them another cluster cannot unseal",
            )
