"""Objects: a versioned bucket, or the part of one below a prefix, that people upload to."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictInt, StringConstraints

from include.recovery.policy.base import PolicyModel, Word
from include.recovery.policy.content_models import ContentSource

BucketName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
"""A name of S3."""


class ReplicaBucket(PolicyModel):
    """A versioned bucket in another region that holds a copy of every version."""

    connection: Annotated[
        Word,
        Field(description="Connection of the S3 service of the other region.", examples=["uploads_west"]),
    ]
    bucket: Annotated[
        BucketName,
        Field(description="Name of the bucket there; nobody but Lifeboat writes to it.", examples=["uploads-replica"]),
    ]


class ObjectsSource(ContentSource):
    """User uploads: protected by the bucket's own versions, and by a replica in the other region."""

    kind: Annotated[
        Literal["objects"],
        Field(description="What the source is; decides how it is backed up.", examples=["objects"]),
    ]
    connection: Annotated[
        Word,
        Field(
            description="Connection of the S3 service that holds the bucket: login and password are the access keys; "
            "its extra may hold 'endpoint_url', 'region_name' and 'verify'.",
            examples=["uploads_east"],
        ),
    ]
    bucket: Annotated[
        BucketName,
        Field(description="Name of the bucket; it must keep versions.", examples=["ksrce-uploads"]),
    ]
    prefix: Annotated[
        str,
        StringConstraints(max_length=1024),
        Field(description="Only keys that begin so; empty means the whole bucket.", examples=["uploads/"]),
    ] = ""
    replica: Annotated[
        ReplicaBucket,
        Field(
            description="Where every version is copied to.",
            examples=[{"connection": "uploads_west", "bucket": "ksrce-uploads-replica"}],
        ),
    ]
    threads: Annotated[
        StrictInt,
        Field(
            ge=1, le=32, description="Objects on their way at once; memory grows by about 20 MiB each.", examples=[4]
        ),
    ] = 4
