"""The text of pgbackrest.conf, from plain facts. Pure: nothing here touches a disk or a server.

The defaults are the quick ones: zst instead of pgBackRest's gz, all cores, small files bundled, WAL pushed in parallel
ahead of the server's asking. Expiry is never automatic: what may go is for ``retention`` to decide.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from include.recovery.connections import ConnectionInfo
from include.recovery.errors import LifeboatError

CompressType = Literal["zst", "lz4", "gz", "bz2", "none"]
CIPHER = "aes-256-cbc"
KEEP_ALL = 9_999_999
"""pgBackRest's own highest count of full backups to keep: it never expires anything by itself."""

_STANZA = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class S3Repository:
    """A repository in an S3 bucket. The secrets never show in ``repr``.

    :param number: pgBackRest's, from 1; it names the repository in every call.
    :param endpoint: host name; pgBackRest speaks only TLS to it.
    :param path: prefix within the bucket, beginning with a slash.
    :param ca_file: PEM of the authority that signed the endpoint's certificate; None for the system's own.
    :param cipher_pass: None stores backups in the clear, which only tests do.
    :param uri_style: ``path`` suits every service; ``host`` puts the bucket into the host name.
    """

    number: int
    bucket: str
    endpoint: str
    region: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    cipher_pass: str | None = field(default=None, repr=False)
    port: int = 443
    path: str = "/pgbackrest"
    ca_file: str | None = None
    verify_tls: bool = True
    uri_style: Literal["path", "host"] = "path"

    @classmethod
    def from_connection(
        cls, number: int, bucket: str, connection: ConnectionInfo, *, cipher_pass: str | None, path: str = "/pgbackrest"
    ) -> S3Repository:
        """The repository in a bucket of a store's connection (the fields that ``S3Store`` reads).

        pgBackRest compares a certificate with names alone, never with addresses. So this machine's own address becomes
        ``localhost``.

        :raises LifeboatError: when the endpoint is not https, the only thing that pgBackRest speaks, or is an address.
        """
        extra = connection.extra
        region = str(extra.get("region_name") or "us-east-1")
        url = str(extra.get("endpoint_url") or f"https://s3.{region}.amazonaws.com")
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname:
            raise LifeboatError(
                f"connection {connection.id!r}: endpoint_url is {url}, and pgBackRest speaks only https to a "
                "repository; give the TLS endpoint"
            )
        verify = extra.get("verify")
        host = parts.hostname
        if verify is not False and _is_address(host):
            if not ip_address(host).is_loopback:
                raise LifeboatError(
                    f"connection {connection.id!r}: endpoint_url is {url}, and pgBackRest verifies certificates by "
                    "name, never by address; give the endpoint's host name"
                )
            host = "localhost"
        return cls(
            number=number,
            bucket=bucket,
            endpoint=host,
            region=region,
            access_key=connection.login,
            secret_key=connection.password,
            cipher_pass=cipher_pass,
            port=parts.port or 443,
            path=path,
            ca_file=verify if isinstance(verify, str) else None,
            verify_tls=verify is not False,
        )

    @property
    def where(self) -> str:
        """For messages: endpoint, bucket and path, no secret."""
        return f"s3://{self.bucket}{self.path} at {self.endpoint}:{self.port}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown."""
        return tuple(filter(None, (self.access_key, self.secret_key, self.cipher_pass)))

    def options(self) -> dict[str, str]:
        """Its lines, without the ``repoN-``."""
        lines = {
            "type": "s3",
            "path": self.path,
            "s3-bucket": self.bucket,
            "s3-endpoint": self.endpoint,
            "s3-region": self.region,
            "s3-uri-style": self.uri_style,
            "s3-key": self.access_key,
            "s3-key-secret": self.secret_key,
            "storage-port": str(self.port),
            "storage-verify-tls": _flag(self.verify_tls),
        }
        return lines | ({"storage-ca-file": self.ca_file} if self.ca_file else {})


@dataclass(frozen=True)
class FolderRepository:
    """A repository in a folder of this machine or of a mount.

    :param number: pgBackRest's, from 1.
    :param path: absolute.
    """

    number: int
    path: str
    cipher_pass: str | None = field(default=None, repr=False)

    @property
    def where(self) -> str:
        """For messages."""
        return self.path

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown."""
        return tuple(filter(None, (self.cipher_pass,)))

    def options(self) -> dict[str, str]:
        """Its lines, without the ``repoN-``."""
        return {"type": "posix", "path": self.path}


Repository = S3Repository | FolderRepository


@dataclass(frozen=True)
class ClusterPlace:
    """Where a cluster is, as pgBackRest has to be told.

    :param data: the data directory.
    :param socket_directory: of the server's unix socket.
    :param user: the server's superuser; None means the operating-system user's own name.
    :param host: None for this machine; a standby elsewhere is reached over ssh.
    """

    data: str
    port: int = 5432
    socket_directory: str | None = None
    user: str | None = None
    host: str | None = None

    def options(self) -> dict[str, str]:
        """Its lines, without the ``pgN-``."""
        lines = {"path": self.data, "port": str(self.port)}
        optional = {"socket-path": self.socket_directory, "user": self.user, "host": self.host}
        return lines | {name: value for name, value in optional.items() if value}


@dataclass(frozen=True)
class Folders:
    """Where one pgBackRest keeps its own files.

    Two that work at the same time need folders of their own: a restore that fetches WAL ahead and a server that pushes
    it would otherwise share one lock and one queue.
    """

    root: Path

    @property
    def config(self) -> Path:
        """The file with the secrets."""
        return self.root / "pgbackrest.conf"

    @property
    def log(self) -> Path:
        """Its logs."""
        return self.root / "log"

    @property
    def lock(self) -> Path:
        """Its locks."""
        return self.root / "lock"

    @property
    def spool(self) -> Path:
        """The queue of WAL that is pushed or fetched ahead."""
        return self.root / "spool"


@dataclass(frozen=True)
class Options:
    """How backups are made.

    :param process_max: processes that compress and transfer.
    :param push_processes: processes of the WAL push; few, since the server's own work comes first.
    :param queue_max: bytes of WAL that may wait for a repository. Beyond that WAL is dropped, so that the primary's
        disk does not fill; the gap is found by ``wal`` and needs a new full backup. None: never drop.
    :param archive_wait: seconds that a backup or check waits for its WAL to reach the repositories.
    :param bundle: pack small files together; saves a request for each.
    :param from_standby: copy files from the standby.
    """

    process_max: int = 2
    push_processes: int = 2
    compress_type: CompressType = "zst"
    compress_level: int | None = 3
    queue_max: int | None = 1024**3
    archive_wait: int = 60
    bundle: bool = True
    asynchronous: bool = True
    start_fast: bool = True
    from_standby: bool = False


@dataclass(frozen=True)
class Configuration:
    """One stanza's whole configuration.

    :param stanza: ``<system>-<source>``.
    :param standby: the hot standby, where there is one.
    """

    stanza: str
    cluster: ClusterPlace
    repositories: Sequence[Repository]
    folders: Folders
    options: Options = Options()
    standby: ClusterPlace | None = None

    def __post_init__(self) -> None:
        numbers = [repository.number for repository in self.repositories]
        if not _STANZA.fullmatch(self.stanza):
            raise LifeboatError(
                f"{self.stanza!r} is no name for a stanza: use letters, digits, dots, dashes and underscores"
            )
        if not numbers or len(set(numbers)) != len(numbers) or min(numbers) < 1:
            raise LifeboatError(
                f"stanza {self.stanza} has repositories numbered {numbers}; it needs one at least, each with a number "
                "of its own from 1"
            )
        if self.options.from_standby and self.standby is None:
            raise LifeboatError(
                f"stanza {self.stanza} is to be backed up from a standby, and none is given; name its connection, or "
                "back up from the primary"
            )

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown."""
        return tuple(secret for repository in self.repositories for secret in repository.secrets)

    def repository(self, number: int) -> Repository:
        """One repository.

        :raises LifeboatError: when there is none of that number.
        """
        for repository in self.repositories:
            if repository.number == number:
                return repository
        known = ", ".join(str(repository.number) for repository in self.repositories)
        raise LifeboatError(f"stanza {self.stanza} has no repository {number}; its repositories are {known}")


def render(configuration: Configuration) -> str:
    """The file's text.

    :raises LifeboatError: when a value cannot be written in one line.
    """
    options, folders = configuration.options, configuration.folders
    general = {
        "process-max": str(options.process_max),
        "compress-type": options.compress_type,
        "start-fast": _flag(options.start_fast),
        "archive-async": _flag(options.asynchronous),
        "archive-timeout": str(options.archive_wait),
        "expire-auto": "n",
        "log-path": str(folders.log),
        "lock-path": str(folders.lock),
        "spool-path": str(folders.spool),
        "log-level-file": "info",
    }
    if options.compress_level is not None and options.compress_type != "none":
        general["compress-level"] = str(options.compress_level)
    if options.queue_max is not None:
        general["archive-push-queue-max"] = str(options.queue_max)
    if options.from_standby:
        general["backup-standby"] = "y"
    for repository in sorted(configuration.repositories, key=lambda each: each.number):
        general |= _numbered(f"repo{repository.number}", _repository_options(repository, options))
    stanza = _numbered("pg1", configuration.cluster.options())
    if configuration.standby is not None:
        stanza |= _numbered("pg2", configuration.standby.options())
    push = {"process-max": str(options.push_processes)}
    sections = {"global": general, "global:archive-push": push, configuration.stanza: stanza}
    return "\n".join(_section(name, lines) for name, lines in sections.items())


def archive_command(configuration: Configuration, *, program: str = "pgbackrest") -> str:
    """What the server runs for each finished segment; for its setting ``archive_command``.

    Names no secret: those are in the file.
    """
    words = [program, f"--config={configuration.folders.config}", f"--stanza={configuration.stanza}", "archive-push"]
    return " ".join(shlex.quote(word).replace("%", "%%") for word in words) + ' "%p"'


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _repository_options(repository: Repository, options: Options) -> dict[str, str]:
    lines = repository.options() | {"bundle": _flag(options.bundle), "retention-full": str(KEEP_ALL)}
    if repository.cipher_pass is not None:
        lines |= {"cipher-type": CIPHER, "cipher-pass": repository.cipher_pass}
    return lines


def _numbered(prefix: str, lines: Mapping[str, str]) -> dict[str, str]:
    return {f"{prefix}-{name}": value for name, value in lines.items()}


def _section(name: str, lines: Mapping[str, str]) -> str:
    return f"[{name}]\n" + "".join(f"{option}={_one_line(option, value)}\n" for option, value in lines.items())


def _one_line(option: str, value: str) -> str:
    # pgBackRest reads to the end of the line, without quotes, and strips blanks at both ends.
    if not value or value != value.strip() or not value.isprintable():
        shown = "its value" if "key" in option or "pass" in option else repr(value)
        raise LifeboatError(
            f"pgBackRest option {option}: {shown} is empty, begins or ends with a blank, or has a line break or "
            "control character; give a plain value"
        )
    return value


def _flag(value: bool) -> str:
    return "y" if value else "n"
