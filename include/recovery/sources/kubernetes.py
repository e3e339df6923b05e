"""Kubernetes: resources of namespaces and of the cluster, kept as files that people can read, and applied again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from include.recovery.content.model import Item
from include.recovery.content.port import EVERYTHING, Captured, PutBack, Restored, Selection, Sink, Site, Stored
from include.recovery.errors import InsufficientRights, SourceError
from include.recovery.evidence.model import Check
from include.recovery.kubernetes.archive import PART, Archive, discard, items, unpack
from include.recovery.kubernetes.client import Answered, Api
from include.recovery.kubernetes.dapr import check_state_stores
from include.recovery.kubernetes.discovery import server_version
from include.recovery.kubernetes.document import Object, item_of, path_of, text_of
from include.recovery.kubernetes.export import Export, Exported
from include.recovery.kubernetes.notes import Notes
from include.recovery.kubernetes.put_back import put_back
from include.recovery.kubernetes.questions import questions
from include.recovery.kubernetes.report import FILE
from include.recovery.kubernetes.scope import scope_of
from include.recovery.policy.source_kinds.kubernetes import KubernetesSource

KubernetesSite = Site[KubernetesSource]


class KubernetesKind:
    """See ``content/port.py``."""

    name = "kubernetes"
    unit = "resource"

    def describe(self, source: KubernetesSource) -> str:
        """See ``Kind``."""
        return f"resources of the namespaces {', '.join(source.namespaces)} and of the cluster ({source.connection})"

    def precheck(self, site: KubernetesSite) -> str:
        """See ``Kind``: everything that will be listed is asked for, so that all refusals are told at once."""
        check_state_stores(site.system, site.source)
        refused: list[str] = []
        others: list[str] = []
        with _api(site) as api:
            scope = scope_of(api, site.source)
            for target in scope.targets:
                try:
                    api.get(target.kind.path(target.namespace, target.only), target.words, limit=1)
                except InsufficientRights as error:
                    refused.append(str(error))
                except Answered as error:
                    others.append(str(error))
            version = server_version(api)
        if refused or others:
            told = "; ".join([*refused, *others])
            kind = InsufficientRights if refused else SourceError
            raise kind(
                f"{site.name}: {len(refused) + len(others)} lists are refused: {told}; grant 'get' and 'list' on them, "
                "or exclude the kinds in the policy with the reason"
            )
        where = f"{len(scope.namespaces)} namespaces of Kubernetes {version}"
        return f"{len(scope.kept_kinds)} kinds in the cluster and {where} can be read"

    def capture(self, site: KubernetesSite, sink: Sink) -> Captured:
        """See ``Kind``."""
        check_state_stores(site.system, site.source)
        begun = site.now()
        with _api(site) as api:
            scope = scope_of(api, site.source)
            export = Export(api, site.source, scope)
            export.report.server = server_version(api)
            notes = Notes(site)
            with sink.writing(PART) as stream, Archive(stream, begun) as archive:
                for each in export:
                    found: Object = json.loads(each.content)
                    archive.add(path_of(each.name), text_of(found).encode())
                    sink.item(_item(each))
                    for path, content in notes.take(found):
                        archive.add(path, content)
                archive.add(FILE, export.report.text())
        for left_out in (*scope.left_out, *export.report.told, *notes.told()):
            sink.leave_out(left_out.what, left_out.why)
        return Captured(
            begun, server_version=export.report.server, lsn=export.report.moment,
            not_compared=export.report.not_compared,
        )  # fmt: skip

    def live_items(self, site: KubernetesSite) -> Iterator[Item]:
        """See ``Kind``."""
        with _api(site) as api:
            for each in Export(api, site.source, scope_of(api, site.source)):
                yield _item(each)

    def restore(self, site: KubernetesSite, stored: Stored, folder: Path, only: Selection = EVERYTHING) -> Restored:
        """See ``Kind``: a tree of YAML files; plain Secrets are among them, so nobody else may read it."""
        count = unpack(stored, folder, only)
        return Restored(0, f"{count} resources as YAML files in {folder}", ("it holds Secrets in clear text",))

    def items(self, site: KubernetesSite, folder: Path) -> Iterator[Item]:
        """See ``Kind``."""
        return items(folder)

    def questions(self, site: KubernetesSite, folder: Path) -> Sequence[Check]:
        """See ``Kind``."""
        return questions(site.source, folder)

    def discard(self, folder: Path) -> None:
        """See ``Kind``."""
        discard(folder)

    def put_back(self, site: KubernetesSite, stored: Stored, only: Selection = EVERYTHING) -> PutBack:
        """See ``Kind``."""
        return put_back(site, stored, only)


def _api(site: KubernetesSite) -> Api:
    return Api(site.connection(site.source.connection), site.stop)


def _item(each: Exported) -> Item:
    return item_of(each.name, each.content)


KIND = KubernetesKind()
