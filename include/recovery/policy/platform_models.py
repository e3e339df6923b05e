"""What all systems share: stores, keys, approvals, notifications and the web address."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StrictBool, StringConstraints

from include.recovery.policy.base import Line, PolicyModel, Slug, Word

_PEM_BEGIN = "-----BEGIN"
_BUCKET = r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"


class _Place(PolicyModel):
    """Where a store's copies are, as the 3-2-1 rule counts them."""

    site: Annotated[
        Slug, Field(description="Where it is; two stores of one site fall together.", examples=["us-east-1"])
    ]
    medium: Annotated[
        Slug,
        Field(description="What the copies lie on; the 3-2-1 rule wants two kinds.", examples=["object-store"]),
    ]
    provider: Annotated[
        Slug, Field(description="Who runs it; the loss of a provider takes all its stores.", examples=["ceph"])
    ]
    replication: Annotated[
        Literal["copy", "native"] | None,
        Field(
            description="How copies get here from the primary store: 'copy' by Lifeboat, or 'native' by the store "
            "itself, then awaited and verified; leave out for the primary store.",
            examples=["copy"],
        ),
    ] = None
    locked: Annotated[
        StrictBool,
        Field(
            description="Whether the store has object lock, so that nothing can be removed before its date.",
            examples=[True],
        ),
    ] = False


class Repository(PolicyModel):
    """A store's bucket for pgBackRest: without object lock, since pgBackRest must be able to expire what it holds."""

    bucket: Annotated[
        str,
        StringConstraints(pattern=_BUCKET),
        Field(description="Name of the bucket; it must exist.", examples=["lifeboat-primary-repo"]),
    ]
    connection: Annotated[
        Word,
        Field(
            description="Connection with its credentials and, in the extra, the same keys as the store's.",
            examples=["lifeboat_primary_repo"],
        ),
    ]


class S3StoreDefinition(_Place):
    """A bucket of an S3-compatible object store."""

    kind: Annotated[Literal["s3"], Field(description="An S3-compatible bucket.", examples=["s3"])]
    connection: Annotated[
        Word,
        Field(
            description="Connection with access key, secret key, and in its extra endpoint_url, region_name, verify.",
            examples=["lifeboat_primary"],
        ),
    ]
    expiry_connection: Annotated[
        Word | None,
        Field(
            description="Connection whose user may delete versions; only retention and the sweep use it. Left out, "
            "they use the store's own connection.",
            examples=["lifeboat_offsite_expiry"],
        ),
    ] = None
    bucket: Annotated[
        str,
        StringConstraints(pattern=_BUCKET),
        Field(description="Name of the bucket; it must exist.", examples=["lifeboat-primary"]),
    ]
    region: Annotated[Slug, Field(description="Region of the bucket.", examples=["us-east-1"])]
    repository: Annotated[
        Repository | None,
        Field(
            description="Where pgBackRest keeps clusters and WAL in this region; left out, in the store's own bucket.",
            examples=[{"bucket": "lifeboat-primary-repo", "connection": "lifeboat_primary_repo"}],
        ),
    ] = None

    @property
    def repository_place(self) -> Repository:
        """The bucket of pgBackRest's repository, with its connection."""
        return self.repository or Repository(bucket=self.bucket, connection=self.connection)


class FolderStoreDefinition(_Place):
    """A folder of this machine or of a mount."""

    kind: Annotated[Literal["folder"], Field(description="A folder.", examples=["folder"])]
    path: Annotated[Path, Field(description="The folder, absolute.", examples=["/backups/lifeboat"])]


StoreDefinition = Annotated[S3StoreDefinition | FolderStoreDefinition, Field(discriminator="kind")]
"""A place where backups live."""


class EncryptionKeys(PolicyModel):
    """The keys that wrap every backup's own key."""

    kms_connection: Annotated[Word, Field(description="Connection to the key service.", examples=["lifeboat_kms"])]
    kms_key: Annotated[Line, Field(description="The key's alias, id or ARN.", examples=["alias/lifeboat"])]
    escrow_public_key: Annotated[
        Line | None,
        Field(
            description="Public RSA-4096 key of the escrow copy, as PEM text or as a path (relative to the policies "
            "folder); its private half stays offline.",
            examples=["escrow-public.pem"],
        ),
    ] = None

    def escrow_public_key_pem(self, folder: Path) -> str | None:
        """The escrow public key as PEM text.

        :param folder: the policies folder.
        :return: None when the policy has no escrow.
        :raises OSError: when the file cannot be read; the loader has checked it.
        """
        key = self.escrow_public_key
        if key is None or key.startswith(_PEM_BEGIN):
            return key
        return (folder / key).read_text(encoding="ascii")


class Approvals(PolicyModel):
    """How approvals are made unforgeable."""

    signing_connection: Annotated[
        Word,
        Field(
            description="Connection whose password is the Ed25519 private key (PEM) that signs approvals and evidence.",
            examples=["lifeboat_signing"],
        ),
    ]


class Notifications(PolicyModel):
    """Where alerts and notices go."""

    slack_connection: Annotated[
        Word, Field(description="Connection of the Slack incoming webhook.", examples=["lifeboat_slack"])
    ]


class Web(PolicyModel):
    """Where people find the user interface."""

    base_url: Annotated[
        str,
        StringConstraints(pattern=r"^https?://[^\s/]+(/[^\s]*)?$"),
        Field(
            description="Address of Airflow's web UI, for links in messages and reports.",
            examples=["https://airflow.example.com"],
        ),
    ]


class NotProtected(PolicyModel):
    """Something that was found and that nobody backs up on purpose, and the reason, which every coverage report
    repeats."""

    what: Annotated[
        Line,
        Field(
            description="Shell pattern over '<kind> <name>' or '<kind> <where>/<name>'; kinds are database, bucket, "
            "instance and what other discoverers find.",
            examples=["database sandbox_*", "bucket https://s3.example.com/access-logs"],
        ),
    ]
    why: Annotated[Line, Field(description="Why it may be lost.", examples=["made anew from the pipeline each night"])]


class Platform(PolicyModel):
    """What all protected systems share."""

    stores: Annotated[
        dict[Slug, StoreDefinition],
        Field(
            description="The stores by name; backups are written to 'primary' and copied to the others.",
            examples=[
                {
                    "primary": {
                        "kind": "s3",
                        "connection": "lifeboat_primary",
                        "bucket": "lifeboat-primary",
                        "region": "us-east-1",
                        "site": "us-east-1",
                        "medium": "object-store",
                        "provider": "ceph",
                    }
                }
            ],
        ),
    ]
    encryption: Annotated[
        EncryptionKeys,
        Field(
            description="The keys that wrap the backups' keys.",
            examples=[{"kms_connection": "lifeboat_kms", "kms_key": "alias/lifeboat"}],
        ),
    ]
    approvals: Annotated[
        Approvals, Field(description="How approvals are signed.", examples=[{"signing_connection": "lifeboat_signing"}])
    ]
    notifications: Annotated[
        Notifications,
        Field(description="Where alerts go.", examples=[{"slack_connection": "lifeboat_slack"}]),
    ]
    web: Annotated[
        Web, Field(description="Where the user interface is.", examples=[{"base_url": "https://airflow.example.com"}])
    ]
    discovery_connections: Annotated[
        tuple[Word, ...],
        Field(
            description="Connections to object stores whose users may list all buckets of their accounts; used for "
            "nothing else. Left out, only what the stores' own users see is discovered, and that is said.",
            examples=[["lifeboat_discovery"]],
        ),
    ] = ()
    not_protected: Annotated[
        tuple[NotProtected, ...],
        Field(
            description="What nobody backs up on purpose; everything else that is found in no policy is an alert.",
            examples=[[{"what": "database sandbox_*", "why": "made anew from the pipeline each night"}]],
        ),
    ] = ()
