"""Files and configuration: folders of a machine that the worker runs on, or sees."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from include.recovery.policy.base import Duration, Line, PolicyModel, Word, at_least
from include.recovery.policy.content_models import ContentSource

VOLUMES = (
    "/var/lib/docker/volumes",
    "/var/lib/containers/storage/volumes",
    "/var/lib/kubelet/pods",
    "/var/lib/rancher/k3s/storage",
)
"""Where container engines keep what running containers write: such a path is live, also if no policy says so."""

_SECOND = timedelta(seconds=1)
Argument = Annotated[str, StringConstraints(min_length=1, max_length=1000)]
Command = Annotated[tuple[Argument, ...], Field(min_length=1)]


class ExcludedPath(PolicyModel):
    """Files that no backup holds, and the reason, which every manifest repeats."""

    path: Annotated[
        Line,
        Field(description="Shell pattern over the path below its folder.", examples=["cache/*", "*.sock"]),
    ]
    why: Annotated[
        Line, Field(description="Why they may be missing after a recovery.", examples=["rebuilt on start"])
    ]


class ChangingPath(PolicyModel):
    """Files that may change while they are read; they are kept as they were read, and the manifest says so."""

    path: Annotated[
        Line,
        Field(description="Shell pattern over the path below its folder.", examples=["logs/*", "*.log"]),
    ]
    why: Annotated[
        Line,
        Field(description="Why a torn state of them does no harm.", examples=["lines are only ever appended"]),
    ]


class Quiesce(PolicyModel):
    """What makes the programs that write to the files hold still while they are read."""

    before: Annotated[
        tuple[Command, ...],
        Field(
            min_length=1,
            description="Commands, each a list of words, run before anything is read; no shell is between.",
            examples=[[["docker", "pause", "labdojo-app"]]],
        ),
    ]
    after: Annotated[
        tuple[Command, ...],
        Field(
            min_length=1,
            description="Commands that undo it. All of them always run, also when a command before or the backup has "
            "failed; so they must do no harm when nothing was paused.",
            examples=[[["docker", "unpause", "labdojo-app"]]],
        ),
    ]
    timeout: Annotated[
        Duration,
        at_least(_SECOND),
        Field(description="How long each command may take before it is ended and counts as failed.", examples=["1m"]),
    ] = timedelta(minutes=1)


class FileCheck(PolicyModel):
    """A command of the system's own that must succeed on every restored copy."""

    name: Annotated[Line, Field(description="What it proves, as a sentence.", examples=["nginx takes the files"])]
    argv: Annotated[
        Command,
        Field(
            description="The command, a list of words without a shell. '{copy}' stands for the folder that the copy "
            "was restored to, as if it were '/'.",
            examples=[["nginx", "-t", "-p", "{copy}/etc/nginx", "-c", "nginx.conf"]],
        ),
    ]
    timeout: Annotated[
        Duration,
        at_least(_SECOND),
        Field(description="How long it may take before it is ended and counts as failed.", examples=["1m"]),
    ] = timedelta(minutes=1)


class FilesSource(ContentSource):
    """Folders and files with owners, modes, links, ACLs and other extended attributes."""

    kind: Annotated[
        Literal["files"],
        Field(description="What the source is; decides how it is backed up.", examples=["files"]),
    ]
    paths: Annotated[
        tuple[Line, ...],
        Field(
            min_length=1,
            description="Absolute paths of folders or files, on the worker that backs them up; none inside another.",
            examples=[["/etc/nginx", "/etc/letsencrypt"]],
        ),
    ]
    host_connection: Annotated[
        Word | None,
        Field(
            description="Connection whose extra names in 'root' the folder where the worker sees the file system of "
            "the host that the paths are of, such as a mount of it; left out, the paths are the worker's own.",
            examples=["labdojo_host"],
        ),
    ] = None
    exclude: Annotated[
        tuple[ExcludedPath, ...],
        Field(
            description="What is left out, each with its reason.",
            examples=[[{"path": "cache/*", "why": "rebuilt on start"}]],
        ),
    ] = ()
    may_change: Annotated[
        tuple[ChangingPath, ...],
        Field(
            description="What may change while it is read. A change of anything else makes the backup fail by name.",
            examples=[[{"path": "logs/*", "why": "lines are only ever appended"}]],
        ),
    ] = ()
    live: Annotated[
        tuple[Line, ...],
        Field(
            description="Those of 'paths' that running programs write to, such as volumes of containers; they need "
            "'quiesce'. Paths below the volumes of Docker, Podman and Kubernetes count as live by themselves.",
            examples=[["/srv/labdojo/data"]],
        ),
    ] = ()
    quiesce: Annotated[
        Quiesce | None,
        Field(
            description="What makes their writers hold still during a backup.",
            examples=[{"before": [["docker", "pause", "app"]], "after": [["docker", "unpause", "app"]]}],
        ),
    ] = None
    checks: Annotated[
        tuple[FileCheck, ...],
        Field(
            description="Commands that must succeed on every restored copy.",
            examples=[[{"name": "the settings can be read", "argv": ["jq", ".", "{copy}/srv/app/settings.json"]}]],
        ),
    ] = ()

    @model_validator(mode="after")
    def _paths_are_plain(self) -> Self:
        for path in self.paths:
            words = path.split("/")
            if words[0] or len(words) < 2 or any(word in {"", ".", ".."} for word in words[1:]):
                raise ValueError(
                    f"found path {path!r}; allowed is an absolute path of a folder or file below '/', without '..', "
                    "'//' or a slash at its end"
                )
        for one, other in pairwise(sorted(self.paths, key=lambda path: f"{path}/")):
            if f"{other}/".startswith(f"{one}/"):
                how = "twice" if one == other else f"inside {one!r}"
                raise ValueError(f"found {other!r} {how} in paths; name each file once, by its outermost folder")
        return self

    @model_validator(mode="after")
    def _writers_hold_still(self) -> Self:
        unknown = [path for path in self.live if path not in self.paths]
        if unknown:
            raise ValueError(f"found {unknown[0]!r} in live; allowed are those of paths: {', '.join(self.paths)}")
        if self.live_paths and self.quiesce is None:
            raise ValueError(
                f"found {', '.join(self.live_paths)}, which running programs write to, and no quiesce; say with "
                "'quiesce' how they hold still, or take these paths out"
            )
        return self

    @property
    def live_paths(self) -> tuple[str, ...]:
        """Paths that running programs write to."""
        return tuple(path for path in self.paths if path in self.live or _volume(path))


def _volume(path: str) -> bool:
    return any(f"{path}/".startswith(f"{place}/") or f"{place}/".startswith(f"{path}/") for place in VOLUMES)
