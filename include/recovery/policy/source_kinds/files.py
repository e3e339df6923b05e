"""Files and configuration: folders of a machine that the worker runs on, or sees."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from include.recovery.policy.base import Line, PolicyModel
from include.recovery.policy.content_models import ContentSource


class ExcludedPath(PolicyModel):
    """Files that no backup holds, and the reason, which every manifest repeats."""

    path: Annotated[
        Line,
        Field(description="Shell pattern over the path below its folder.", examples=["cache/*", "*.sock"]),
    ]
    why: Annotated[
        Line, Field(description="Why they may be missing after a recovery.", examples=["rebuilt on start"])
    ]


class FilesSource(ContentSource):
    """Folders and files with owners, modes, links and extended attributes."""

    kind: Annotated[
        Literal["files"],
        Field(description="What the source is; decides how it is backed up.", examples=["files"]),
    ]
    paths: Annotated[
        tuple[Line, ...],
        Field(
            min_length=1,
            description="Absolute paths of folders or files, on the worker that backs them up.",
            examples=[["/etc/nginx", "/etc/letsencrypt"]],
        ),
    ]
    exclude: Annotated[
        tuple[ExcludedPath, ...],
        Field(
            description="What is left out, each with its reason.",
            examples=[[{"path": "cache/*", "why": "rebuilt on start"}]],
        ),
    ] = ()
