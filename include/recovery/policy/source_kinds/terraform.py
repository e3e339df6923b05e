"""Terraform's or OpenTofu's state."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from include.recovery.policy.base import Duration, Line, PolicyModel, Word
from include.recovery.policy.content_models import ContentSource


class StateInS3(PolicyModel):
    """A state in a bucket that keeps versions."""

    type: Annotated[Literal["s3"], Field(description="Terraform's name of the backend.", examples=["s3"])]
    connection: Annotated[
        Word,
        Field(
            description="Connection to the S3 service; putting back also needs the right to write the state and its "
            "lock file.",
            examples=["aiaas_terraform"],
        ),
    ]
    bucket: Annotated[Line, Field(description="The bucket; it must keep versions.", examples=["aiaas-terraform"])]
    key: Annotated[Line, Field(description="Key of the state's object.", examples=["production/terraform.tfstate"])]


class StateInFile(PolicyModel):
    """A state in a file."""

    type: Annotated[Literal["file"], Field(description="A file that the worker sees.", examples=["file"])]
    path: Annotated[
        Line, Field(description="Absolute path of the state.", examples=["/srv/terraform/terraform.tfstate"])
    ]


class TerraformSource(ContentSource):
    """A state document with all its resources."""

    kind: Annotated[
        Literal["terraform"],
        Field(description="What the source is; decides how it is backed up.", examples=["terraform"]),
    ]
    backend: Annotated[
        StateInS3 | StateInFile,
        Field(
            discriminator="type",
            description="Where the state is kept.",
            examples=[{"type": "file", "path": "/srv/terraform/terraform.tfstate"}],
        ),
    ]
    lock_wait: Annotated[
        Duration,
        Field(description="How long a lock on the state is waited for before the backup fails.", examples=["10m"]),
    ] = timedelta(minutes=10)
