"""A backup applied to a cluster: what is there now kept aside, all of it tried first, then applied in order.

Nothing is ever deleted. Applied are only objects that are missing or differ, so it is safe to run again.
"""

from __future__ import annotations

import json
import secrets
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from include.recovery.content.port import PutBack, Selection, Site, Stored
from include.recovery.errors import InsufficientRights, LifeboatError, Refused, SourceError, SourceUnavailable
from include.recovery.jobs import Stopped
from include.recovery.kubernetes.apply import Applier, KindUnknown, Placed, refusal
from include.recovery.kubernetes.archive import discard, is_object, members, wanted, write_private
from include.recovery.kubernetes.cleaning import cleaned
from include.recovery.kubernetes.client import Answered, Api
from include.recovery.kubernetes.document import Object, canonical, kind_of, name_of, parsed, path_of, text_of
from include.recovery.kubernetes.order import CRD, NAMESPACE, in_order
from include.recovery.policy.source_kinds.kubernetes import KubernetesSource

_FIRST = (CRD, NAMESPACE)
_SHOWN = 20


@dataclass
class _Work:
    """What is to be applied.

    :param packed: canonical JSON of each object, compressed: all that differ are held in memory at once.
    :param order: names in the order in which they are applied.
    """

    packed: dict[str, bytes] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    kept: int = 0
    same: int = 0

    def object(self, name: str) -> Object:
        """One of them."""
        found: Object = json.loads(zlib.decompress(self.packed[name]))
        return found


def put_back(site: Site[KubernetesSource], stored: Stored, only: Selection) -> PutBack:
    """See ``Kind.put_back``.

    :raises Refused: naming every object that the cluster would not accept; nothing was changed then but
        CustomResourceDefinitions and namespaces that were missing, which the message names.
    """
    source = site.source
    folder = f"{site.system.system}-{source.name}-{site.now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
    aside = Path(source.aside) / folder
    with Api(site.connection(source.restore_connection or source.connection), site.stop) as api:
        return _Putting(site, Applier(api, site.stop), aside).run(stored, only)


class _Putting:
    def __init__(self, site: Site[KubernetesSource], applier: Applier, aside: Path) -> None:
        self._site, self._applier, self._aside = site, applier, aside
        self._work = _Work()

    def run(self, stored: Stored, only: Selection) -> PutBack:
        work = self._work
        changed_at_all = False
        try:
            self._find_work(stored, only)
            waiting = self._try_out(work.order)
            first = [name for name in work.order if kind_of(work.object(name)) in _FIRST]
            changed_at_all = bool(first)
            notes = self._apply(first)
            if waiting:
                self._try_again(waiting, first)
            rest = [name for name in work.order if name not in set(first)]
            changed_at_all = changed_at_all or bool(rest)
            notes += self._apply(rest)
        finally:
            if not changed_at_all:
                discard(self._aside)  # nothing was changed, so it is kept where it always was
        if work.same:
            notes.append(f"{work.same} objects were as the backup holds them")
        notes.append("objects that are only in the cluster were left as they are; the preview names them")
        kept = str(self._aside) if work.kept else "nothing: no object that was put back was there before"
        return PutBack(len(work.order), kept, tuple(notes))

    def _find_work(self, stored: Stored, only: Selection) -> None:
        """Find what is missing or differs, and keep aside what differs, before anything is changed."""
        work, kinds = self._work, list[tuple[str, str]]()
        for path, content in members(stored):
            if not is_object(path) or not wanted(path, content, only):
                continue
            found = parsed(content, path)
            name, live = name_of(found), None
            with suppress(KindUnknown):  # whether its definition comes first is seen when it is tried
                live = self._applier.live(self._applier.place(found))
            if live is not None:
                now = cleaned({**live, "apiVersion": found["apiVersion"], "kind": found["kind"]})
                if canonical(now) == canonical(found):
                    work.same += 1
                    continue
                self._keep(name, now)
            work.packed[name] = zlib.compress(canonical(found), 1)
            kinds.append((name, kind_of(found)))
        work.order = in_order(kinds)

    def _keep(self, name: str, now: Object) -> None:
        try:
            write_private(self._aside / path_of(name), text_of(now).encode())
        except OSError as error:
            raise LifeboatError(
                f"{self._site.name}: what is there now cannot be kept in {self._aside} ({error.strerror}), so nothing "
                "was changed; give another folder as 'aside' of the source in the policy"
            ) from error
        self._work.kept += 1

    def _try_out(self, names: Iterable[str]) -> list[str]:
        """Have the server check what it can check already.

        :return: what waits for a definition or a namespace that is put back with it.
        """
        work, refused, waiting = self._work, list[str](), list[str]()
        coming = [work.object(name) for name in work.order if kind_of(work.object(name)) in _FIRST]
        defined = {_defines(each) for each in coming if kind_of(each) == CRD}
        namespaces = {each["metadata"]["name"] for each in coming if kind_of(each) == NAMESPACE}
        for name in names:
            found = work.object(name)
            if kind_of(found) in defined or found["metadata"].get("namespace") in namespaces:
                waiting.append(name)
            elif (why := self._check(found)) is not None:
                refused.append(why)
        if refused:
            raise Refused(_told(self._site.name, refused, "nothing was changed"))
        return waiting

    def _try_again(self, names: Iterable[str], first: list[str]) -> None:
        """Check what had to wait: still before any object is applied."""
        refused = [why for name in names if (why := self._check(self._work.object(name))) is not None]
        if refused:
            made = f"nothing was changed but {', '.join(first)}"
            raise Refused(_told(self._site.name, refused, made))

    def _check(self, found: Object) -> str | None:
        self._stop_when_told()
        try:
            placed = self._applier.place(found)
        except KindUnknown as unknown:
            return str(unknown)
        return self._applier.try_out(placed, self._applier.live(placed))

    def _apply(self, names: list[str]) -> list[str]:
        notes: list[str] = []
        for done, name in enumerate(names):
            self._stop_when_told()
            placed = self._applier.place(self._work.object(name))
            try:
                changes = self._applier.apply(placed)
                if kind_of(placed.wanted) == CRD:
                    self._applier.wait_until_established(placed)
                    self._applier.forget_kinds()
            except Answered as answered:
                # Not chained: the server's sentence may quote values of a Secret.
                raise SourceError(self._broken_off(placed, done, len(names), refusal(placed, answered))) from None
            except (SourceUnavailable, InsufficientRights) as gone:
                raise type(gone)(self._broken_off(placed, done, len(names), str(gone))) from gone
            if changes:
                notes.append(f"{name}: the cluster has made it differ from the backup: {'; '.join(changes)}")
        return notes

    def _broken_off(self, placed: Placed, done: int, of: int, why: str) -> str:
        kept = f"; what was there before is in {self._aside}" if self._work.kept else ""
        return (
            f"{self._site.name}: putting back broke off at {placed.name}, after {done} of {of} objects: {why}; put "
            f"back again, which goes on where it stopped{kept}"
        )

    def _stop_when_told(self) -> None:
        if self._site.stop.is_set():
            raise Stopped


def _defines(definition: Object) -> str:
    spec = definition["spec"]
    return f"{spec['group']}/{spec['names']['kind']}"


def _told(where: str, refused: list[str], made: str) -> str:
    more = f"; and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
    return (
        f"{where}: the cluster would refuse {len(refused)} of the objects, so {made}; remove these objects there by "
        f"hand, or put back a selection without them: {'; '.join(refused[:_SHOWN])}{more}"
    )


