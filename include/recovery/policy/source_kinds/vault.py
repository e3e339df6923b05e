"""HashiCorp Vault or OpenBao with integrated storage."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from include.recovery.policy.base import Line, Word
from include.recovery.policy.content_models import ContentSource


class VaultSource(ContentSource):
    """Snapshots of a Vault or OpenBao cluster with integrated storage (raft)."""

    kind: Annotated[
        Literal["vault"],
        Field(description="What the source is; decides how it is backed up.", examples=["vault"]),
    ]
    connection: Annotated[
        Word,
        Field(
            description="Connection to the cluster: host (or URL), port, 'verify' (CA file) and 'scheme' in its extra; "
            "the password is a token, or login and password are an AppRole's ids.",
            examples=["aiaas_vault"],
        ),
    ]
    unseal_keys_kept_by: Annotated[
        Line,
        Field(
            description="Who keeps the unseal keys, which no backup holds; each manifest repeats it.",
            examples=["three of five in the safes of the platform team"],
        ),
    ]
    unseal_connection: Annotated[
        Word | None,
        Field(
            description="Connection whose password is enough unseal keys, separated by blanks. With it, drills open "
            "the copy and compare what is inside; without it, only the sealed state is compared.",
            examples=["aiaas_vault_unseal"],
        ),
    ] = None
    program: Annotated[
        Literal["bao", "vault"],
        Field(description="Program of the copy's server on the drills' worker: the cluster's own.", examples=["vault"]),
    ] = "bao"
    network: Annotated[
        Literal["none", "host"],
        Field(
            description="Network of the copy's server. 'none' needs user namespaces; with 'host', an opened copy can "
            "reach databases and clouds and revoke there what has expired.",
            examples=["none"],
        ),
    ] = "none"
    aside: Annotated[
        Line,
        Field(
            description="Folder of the worker where putting back first keeps a snapshot of the cluster as it is.",
            examples=["/var/lib/lifeboat/aside"],
        ),
    ] = "/var/lib/lifeboat/aside"
    present: Annotated[
        tuple[Line, ...],
        Field(
            description="Items, or beginnings of their names, of which an opened copy must hold at least one each.",
            examples=[["kv/secret/production/", "policy/application"]],
        ),
    ] = ()

    @model_validator(mode="after")
    def _can_look_inside(self) -> VaultSource:
        if self.present and self.unseal_connection is None:
            raise ValueError("found 'present' without 'unseal_connection', and only an opened copy can be looked into")
        return self
