"""Git repositories: on this machine, or on a server."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from include.recovery.git.address import parse_address
from include.recovery.policy.base import Line, PolicyModel, Word
from include.recovery.policy.content_models import ContentSource


def _address(text: str) -> str:
    return parse_address(text).text


class ExcludedRefs(PolicyModel):
    """Refs that no backup holds, and the reason, which every manifest repeats."""

    refs: Annotated[
        str,
        StringConstraints(pattern=r"^refs/\S+$", max_length=200),
        Field(
            description="A ref, its beginning up to a slash, or a shell pattern over its whole name.",
            examples=["refs/pull"],
        ),
    ]
    why: Annotated[Line, Field(description="Why they may be missing after a recovery.", examples=["the server's own"])]


class KnownFlaw(PolicyModel):
    """A problem of old history that ``git fsck --strict`` would refuse, and the reason why it may stay."""

    problem: Annotated[
        str,
        StringConstraints(pattern=r"^[A-Za-z0-9]+$", max_length=60),
        Field(description="Its name, as git fsck prints it.", examples=["zeroPaddedFilemode"]),
    ]
    why: Annotated[Line, Field(description="Why it may stay.", examples=["commits of 2009, made by another tool"])]


ArchiveName = Annotated[str, StringConstraints(pattern=r"^[^\s/\\\[\]\"'!#-][^\s/\\\[\]\"']*$", max_length=100)]


class GitSource(ContentSource):
    """A git repository with all its refs, and an archive of the files of its HEAD."""

    kind: Annotated[
        Literal["git"],
        Field(description="What the source is; decides how it is backed up.", examples=["git"]),
    ]
    repository: Annotated[
        Line,
        AfterValidator(_address),
        Field(
            description="Absolute path on the worker, or URL (https, ssh, git) without credentials.",
            examples=["https://git.example.org/team/labdojo.git"],
        ),
    ]
    connection: Annotated[
        Word | None,
        Field(
            description="Connection with its credentials: login and password (or token) for https; for ssh "
            "'private_key' and 'host_key' in its extra.",
            examples=["labdojo_git"],
        ),
    ] = None
    exclude: Annotated[
        tuple[ExcludedRefs, ...],
        Field(
            description="Refs that are left out, each with its reason.",
            examples=[[{"refs": "refs/pull", "why": "the server's own, for reviews"}]],
        ),
    ] = ()
    archive_without: Annotated[
        tuple[ArchiveName, ...],
        Field(
            description="Names of files and folders, at any depth, that the archive leaves out ('*' and '?' stand for "
            "anything); the bundle has them all the same.",
            examples=[[".git", "node_modules", "dist"]],
        ),
    ] = (".git", "node_modules", "dist")
    known_flaws: Annotated[
        tuple[KnownFlaw, ...],
        Field(
            description="Problems of old history that git fsck may find.",
            examples=[[{"problem": "zeroPaddedFilemode", "why": "commits of 2009, made by another tool"}]],
        ),
    ] = ()
