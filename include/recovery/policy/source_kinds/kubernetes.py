"""Kubernetes: the resources of namespaces, and of the cluster itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from include.recovery.policy.base import Line, PolicyModel, Slug, Word
from include.recovery.policy.content_models import ContentSource

KindPattern = Annotated[str, StringConstraints(pattern=r"^[^/\s]+/[^/\s]+$", max_length=200)]
"""``<group>/<Kind>``, each a shell pattern; the group of Pods, Secrets, Services ... is ``core``."""


class ExcludedResource(PolicyModel):
    """Resources that no backup holds, and the reason, which every manifest repeats."""

    kind: Annotated[
        KindPattern,
        Field(
            description="Their kind as '<group>/<Kind>', both shell patterns; the nameless group is 'core'.",
            examples=["metrics.k8s.io/*", "core/ConfigMap"],
        ),
    ]
    name: Annotated[
        Line,
        Field(description="Shell pattern over their names; '*' means the whole kind.", examples=["build-cache-*"]),
    ] = "*"
    why: Annotated[
        Line, Field(description="Why they may be missing after a recovery.", examples=["rebuilt by the pipeline"])
    ]


class StateStore(PolicyModel):
    """Which source of the system keeps the data behind a Dapr state store."""

    component: Annotated[
        Line, Field(description="The component, as '<namespace>/<name>'.", examples=["todo/statestore"])
    ]
    source: Annotated[
        Slug, Field(description="The source of this system that backs its data up.", examples=["state-redis"])
    ]


class KubernetesSource(ContentSource):
    """Resources of chosen namespaces and of the cluster, without what the cluster itself puts into them."""

    kind: Annotated[
        Literal["kubernetes"],
        Field(description="What the source is; decides how it is backed up.", examples=["kubernetes"]),
    ]
    connection: Annotated[
        Word,
        Field(
            description="Connection to the API server: host (an https address), the service account's token as "
            "password, and in the extra 'ca' (PEM text) or 'ca_file'; 'token_file' instead of a password, where tokens "
            "are renewed.",
            examples=["aido_cluster"],
        ),
    ]
    restore_connection: Annotated[
        Word | None,
        Field(
            description="Connection whose token may write, for putting back; left out, the one above is used.",
            examples=["aido_cluster_restore"],
        ),
    ] = None
    namespaces: Annotated[
        tuple[Line, ...],
        Field(
            min_length=1,
            description="Namespaces, or shell patterns over their names. Names alone need no right to list namespaces.",
            examples=[["todo", "dapr-system"]],
        ),
    ]
    kinds: Annotated[
        tuple[KindPattern, ...],
        Field(description="Kinds in those namespaces, as '<group>/<Kind>' patterns.", examples=[["*/*"]]),
    ] = ("*/*",)
    cluster_kinds: Annotated[
        tuple[KindPattern, ...],
        Field(
            description="Kinds of the cluster itself; empty means none but the namespaces chosen above.",
            examples=[["apiextensions.k8s.io/*", "rbac.authorization.k8s.io/*", "storage.k8s.io/StorageClass"]],
        ),
    ] = ("*/*",)
    exclude: Annotated[
        tuple[ExcludedResource, ...],
        Field(
            description="What is left out, each with its reason.",
            examples=[[{"kind": "metrics.k8s.io/*", "why": "measured anew all the time"}]],
        ),
    ] = ()
    state_stores: Annotated[
        tuple[StateStore, ...],
        Field(
            description="Which sources keep what Dapr's state stores hold. One that is named by nobody, and on no "
            "server of another source, is told in every manifest.",
            examples=[[{"component": "todo/statestore", "source": "state-redis"}]],
        ),
    ] = ()
    aside: Annotated[
        Line,
        Field(
            description="Absolute path of a folder on the worker: resources as they were before they were put back are "
            "kept in it, readable by the worker's user alone.",
            examples=["/var/lib/lifeboat/aside"],
        ),
    ] = "/var/lib/lifeboat/aside"
