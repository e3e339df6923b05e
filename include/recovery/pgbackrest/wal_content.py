"""One archived segment opened: is it whole, is it what its name says, is it of this cluster?

pgBackRest checks the system of what it is given to push and the checksum of what it verifies. This looks at what is
there, whoever wrote it, without a server: recovery would notice only when it is needed.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import struct
import zlib
from collections.abc import Iterable, Iterator

from include.recovery.errors import BackupCorrupt, LifeboatError, PartMissing, WrongKey
from include.recovery.pgbackrest import commands
from include.recovery.pgbackrest.segments import SEGMENT_BYTES, Segment, lsn_of
from include.recovery.pgbackrest.tool import PgBackRest
from include.recovery.pgbackrest.wal import Archive, Finding, Stored, Trouble, parse_listing

_PAGE = struct.Struct("<HHIQI4xQII")
_LONG_HEADER = 0x0002


def archive_path(stanza: str, archive_id: str) -> str:
    """Where a cluster's WAL is in a repository."""
    return f"archive/{stanza}/{archive_id}"


def judge(
    content: bytes, segment: Segment, sha1: str, system_identifier: str, *, archive: str, size: int = SEGMENT_BYTES
) -> Finding | None:
    """What is wrong with a segment's content; None when nothing is.

    :param content: decrypted and decompressed.
    :param sha1: from its name in the archive.
    :param archive: its name, for messages.
    """
    name = segment.name(size)

    def found(trouble: Trouble, what: str) -> Finding:
        sentence = (
            f"{archive}: WAL segment {name} {what}: recovery ends before it; take a full backup, and copy the segment "
            "from another repository if it is good there"
        )
        return Finding(trouble, sentence, (name, name))

    if not content:
        return found(Trouble.EMPTY, "is empty (0 bytes)")
    if len(content) != size:
        trouble = Trouble.TRUNCATED if len(content) < size else Trouble.DAMAGED
        word = "truncated" if len(content) < size else "too long"
        return found(trouble, f"is {word}: {len(content)} of {size} bytes")
    digest = hashlib.sha1(content, usedforsecurity=False).hexdigest()
    _, flags, timeline, address, _, system, segment_bytes, _ = _PAGE.unpack_from(content)
    if not flags & _LONG_HEADER or segment_bytes != size:
        return found(Trouble.DAMAGED, "does not begin as a WAL segment does")
    if str(system) != system_identifier:
        return found(Trouble.WRONG_SYSTEM, f"is of system {system}, and the cluster is {system_identifier}")
    # A segment in which a timeline was switched begins with a copy of the old timeline's pages.
    if address != segment.start(size) or timeline > segment.timeline:
        return found(Trouble.WRONG_PLACE, f"holds LSN {lsn_of(address)} of timeline {timeline}")
    if digest != sha1:
        return found(Trouble.DAMAGED, f"has SHA-1 {digest[:8]}..., and was archived with {sha1[:8]}...")
    return None


def open_segment(tool: PgBackRest, repository: int, folder: str, file: Stored) -> bytes:
    """A segment's content.

    :param folder: ``archive_path``.
    :raises BackupCorrupt: when it cannot be decrypted or decompressed.
    :raises PartMissing: when it is not there.
    """
    path = f"{folder}/{file.path}"
    doing = f"reading {path} in repository {repository}"
    try:
        answer = tool.outcome(commands.read_file(tool.call, repository, path), doing, accepted=(0, 1))
    except WrongKey as error:
        # The pass is right: it has opened the archive's own list before. So the segment is not what was written.
        raise BackupCorrupt(f"{file.path} cannot be decrypted") from error
    if answer.code == 1 and not answer.stdout:
        raise PartMissing(f"stanza {tool.stanza}: repository {repository} has no {path}")
    return decompressed(answer.stdout, file.path)


def examine_segments(
    tool: PgBackRest,
    repository: int,
    archive: Archive,
    folder: str,
    segments: Iterable[Segment],
    system_identifier: str,
) -> Iterator[Finding]:
    """Open segments and say what is wrong with them; those that are missing are not this one's matter."""
    for segment in segments:
        for file in archive.segments.get(segment, ()):
            try:
                content = b"" if file.size == 0 else open_segment(tool, repository, folder, file)
            except BackupCorrupt as error:
                name = segment.name(archive.segment_bytes)
                yield Finding(
                    Trouble.DAMAGED,
                    f"{archive.name}: WAL segment {name} cannot be read ({error}): recovery ends before it; take a "
                    "full backup, and copy the segment from another repository if it is good there",
                    (name, name),
                )
                continue
            finding = judge(
                content, segment, file.sha1, system_identifier, archive=archive.name, size=archive.segment_bytes
            )
            if finding is not None:
                yield finding


def read_archive(
    tool: PgBackRest, repository: int, archive_id: str, *, segment_bytes: int = SEGMENT_BYTES
) -> Archive:
    """What WAL a repository has of a cluster.

    :param archive_id: pgBackRest's, such as ``15-1``.
    """
    folder = archive_path(tool.stanza, archive_id)
    name = f"stanza {tool.stanza}: repository {repository}"
    listing = tool.run(commands.list_files(tool.call, repository, folder), f"listing repository {repository}")
    return parse_listing(listing, name, segment_bytes=segment_bytes)


def read_histories(tool: PgBackRest, repository: int, archive: Archive, folder: str) -> dict[int, str]:
    """The content of an archive's ``.history`` files, by timeline."""
    found = {}
    for timeline in sorted(archive.histories):
        path = f"{folder}/{timeline:08X}.history"
        data = tool.run(commands.read_file(tool.call, repository, path), f"reading {path} in repository {repository}")
        found[timeline] = data.decode("utf-8", "replace")
    return found


def decompressed(data: bytes, name: str) -> bytes:
    """A file's content, by the ending of its name.

    :raises BackupCorrupt: when it is not what its ending says, or ends early.
    """
    try:
        match name.rpartition(".")[2]:
            case "zst":
                import zstandard

                return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True).read()
            case "gz":
                return gzip.decompress(data)
            case "bz2":
                return bz2.decompress(data)
            case "lz4":
                raise LifeboatError(
                    f"{name}: lz4 segments cannot be opened here, only verified by pgBackRest; choose zst in the policy"
                )
            case _:
                return data
    except (OSError, EOFError, ValueError, zlib.error, _zstd_error()) as error:
        raise BackupCorrupt(f"{name} is not what its name says, or ends early: {error}") from error


def _zstd_error() -> type[Exception]:
    import zstandard

    return zstandard.ZstdError
