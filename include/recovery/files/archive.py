"""The stream that holds a tree: a POSIX pax archive, as GNU tar, bsdtar and Python read it.

Paths have no leading slash. Everything that the old header cannot say is in pax records: long and odd names, times to
the nanosecond, extended attributes (``SCHILY.xattr.*``, ACLs among them), holes (GNU's sparse format 1.0). A file that
changed while it was written comes again right behind itself; as with every tar, the last one counts.

The reader takes what the writer writes and nothing else: a header that it does not know is damage, never an early end.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from include.recovery.errors import BackupCorrupt
from include.recovery.files.content import BLOCK, Segment
from include.recovery.files.entry import Entry, Owner, Type

UNIT = 512
_OCTAL_7 = 0o7777777
_OCTAL_11 = 0o77777777777
_XATTR = b"SCHILY.xattr."
_TYPES: dict[bytes, Type] = {b"0": "file", b"5": "folder", b"2": "link", b"6": "fifo"}
_FLAGS: dict[Type, bytes] = {type_: flag for flag, type_ in _TYPES.items()}
_HARD_LINK, _PAX = b"1", b"x"
_LONGEST_RECORDS = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Member:
    """One thing in an archive. Read ``content`` before the next one is asked for.

    :param segments: where its stored bytes belong.
    :param hard_link: whether it is a further name of the file ``entry.same_as``, without content of its own.
    """

    entry: Entry
    segments: tuple[Segment, ...]
    content: Iterator[bytes]

    @property
    def hard_link(self) -> bool:
        """Whether it is a further name of another file, without content of its own."""
        return bool(self.entry.same_as)


def header(entry: Entry, segments: list[Segment] | None = None) -> bytes:
    """What comes before a thing's content; for a file with holes that is their map too.

    :param segments: of a file; None for everything else.
    """
    path, stored = _path(entry.name), sum(length for _, length in segments or ())
    sparse = segments is not None and stored < entry.size
    records = {b"path": path, b"mtime": _time(entry.mtime_ns)}
    if sparse:
        records |= {
            b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", b"GNU.sparse.name": path,
            b"GNU.sparse.realsize": b"%d" % entry.size,
        }  # fmt: skip
    # An empty piece at the very end tells GNU tar how long the file is: it does not believe the real size alone.
    map_ = _map([*(segments or []), (entry.size, 0)]) if sparse else b""
    size = len(map_) + stored
    info = tarfile.TarInfo("-")
    info.type = _HARD_LINK if entry.same_as else _FLAGS[entry.type]
    info.mode = entry.mode
    info.mtime = min(max(entry.mtime_ns // 10**9, 0), _OCTAL_11)
    info.size = min(size, _OCTAL_11)
    info.uid, info.gid = min(entry.owner.uid, _OCTAL_7), min(entry.owner.gid, _OCTAL_7)
    target = _path(entry.same_as) if entry.same_as else os.fsencode(entry.target)
    if target:
        records[b"linkpath"] = target
        info.linkname = "-"
    if size > _OCTAL_11:
        records[b"size"] = b"%d" % size
    records |= {b"uid": b"%d" % entry.owner.uid, b"gid": b"%d" % entry.owner.gid}
    records |= {b"uname": os.fsencode(entry.owner.user), b"gname": os.fsencode(entry.owner.group)}
    records |= {_XATTR + _keyword(name): value for name, value in entry.xattrs}
    said = b"".join(_record(key, value) for key, value in records.items() if value or key.startswith(_XATTR))
    before = tarfile.TarInfo("@PaxHeader")
    before.type, before.size, before.mode = _PAX, len(said), 0o600
    plain = info.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape")
    return before.tobuf(tarfile.USTAR_FORMAT, "utf-8", "surrogateescape") + _padded(said) + plain + map_


def padding(size: int) -> bytes:
    """What fills the last unit behind so many bytes."""
    return bytes(-size % UNIT)


END = bytes(2 * UNIT)
"""What ends an archive."""


def members(stream: BinaryIO, where: str) -> Iterator[Member]:
    """What an archive holds, in its order. Behind the last one, the stream has been read to its end.

    :param where: for messages.
    :raises BackupCorrupt: where it is none of ours, or ends early.
    """
    while (block := _exactly(stream, UNIT, where)) != bytes(UNIT):
        info = _info(block, where)
        if info.type != _PAX or info.size > _LONGEST_RECORDS:
            raise BackupCorrupt(f"{where}: the archive has a header without its records")
        records = _records(_exactly(stream, info.size, where), where)
        _exactly(stream, -info.size % UNIT, where)
        info = _info(_exactly(stream, UNIT, where), where)
        try:
            member, left = _member(info, records, stream, where)
        except (KeyError, ValueError) as error:
            raise BackupCorrupt(f"{where}: a header of the archive cannot be read: {error}") from error
        yield member
        for _ in member.content:
            pass  # whoever did not want it
        _exactly(stream, -left % UNIT, where)
    if _exactly(stream, UNIT, where) != bytes(UNIT) or stream.read(1):
        raise BackupCorrupt(f"{where}: there is something behind the end of the archive")


def _member(
    info: tarfile.TarInfo, records: dict[bytes, bytes], stream: BinaryIO, where: str
) -> tuple[Member, int]:
    """A member, and the bytes of its content with its map of holes."""
    type_ = "file" if info.type == _HARD_LINK else _TYPES[info.type]
    size = int(records.get(b"size", info.size))
    real, stored = size, size
    segments: tuple[Segment, ...] = ((0, size),) if size else ()
    if b"GNU.sparse.realsize" in records:
        real = int(records[b"GNU.sparse.realsize"])
        segments, taken = _read_map(stream, where)
        stored -= taken
        if sum(length for _, length in segments) != stored:
            raise ValueError("its holes do not fit its size")
    end = 0
    for start, length in segments:
        if start < end or length < 0 or start + length > real:
            raise ValueError("its holes do not fit its length")
        end = start + length
    target = records.get(b"linkpath", b"")
    entry = Entry(
        _name(records[b"path"]), type_, info.mode,
        Owner(
            int(records[b"uid"]), int(records[b"gid"]),
            os.fsdecode(records.get(b"uname", b"")), os.fsdecode(records.get(b"gname", b"")),
        ),
        _ns(records[b"mtime"]), size=real if type_ == "file" else 0,
        target=os.fsdecode(target) if type_ == "link" else "",
        same_as=_name(target) if info.type == _HARD_LINK else "",
        xattrs=tuple(sorted(
            (_keyword_back(key[len(_XATTR) :]), value) for key, value in records.items() if key.startswith(_XATTR)
        )),
    )  # fmt: skip
    return Member(entry, segments, _content(stream, stored, where)), size


def _content(stream: BinaryIO, size: int, where: str) -> Iterator[bytes]:
    while size:
        block = _exactly(stream, min(size, BLOCK), where)
        size -= len(block)
        yield block


def _exactly(stream: BinaryIO, size: int, where: str) -> bytes:
    data = stream.read(size) if size else b""
    if len(data) < size:
        raise BackupCorrupt(f"{where}: the archive ends in the middle")
    return data


def _info(block: bytes, where: str) -> tarfile.TarInfo:
    try:
        return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise BackupCorrupt(f"{where}: a header of the archive cannot be read: {error}") from error


def _records(data: bytes, where: str) -> dict[bytes, bytes]:
    found, at = {}, 0
    while at < len(data):
        digits, _, _ = data[at : at + 20].partition(b" ")
        key, equals, value = data[at + len(digits) + 1 : at + int(digits) if digits.isdigit() else at].partition(b"=")
        if not equals or not value.endswith(b"\n"):
            raise BackupCorrupt(f"{where}: the records of a header cannot be read")
        found[key] = value[:-1]
        at += int(digits)
    return found


def _record(key: bytes, value: bytes) -> bytes:
    rest = len(key) + len(value) + 3
    size = rest + len(str(rest))
    size = rest + len(str(size))
    return b"%d %s=%s\n" % (size, key, value)


def _keyword(name: str) -> bytes:
    """As GNU tar writes the name of an extended attribute: an equals sign would end the keyword."""
    return os.fsencode(name).replace(b"%", b"%25").replace(b"=", b"%3D")


def _keyword_back(key: bytes) -> str:
    return os.fsdecode(key.replace(b"%3D", b"=").replace(b"%25", b"%"))


def _map(segments: list[Segment]) -> bytes:
    numbers = [len(segments), *(number for segment in segments for number in segment)]
    return _padded(b"".join(b"%d\n" % number for number in numbers))


def _read_map(stream: BinaryIO, where: str) -> tuple[tuple[Segment, ...], int]:
    data = bytearray(_exactly(stream, UNIT, where))
    wanted = 1 + 2 * int(data.partition(b"\n")[0])
    lines = data.count(b"\n")
    while lines < wanted:
        block = _exactly(stream, UNIT, where)
        lines += block.count(b"\n")
        data += block
    numbers = [int(word) for word in data.split(b"\n")[1:wanted]]
    return tuple(piece for piece in zip(numbers[::2], numbers[1::2], strict=True) if piece[1]), len(data)


def _padded(data: bytes) -> bytes:
    return data + padding(len(data))


def _path(name: str) -> bytes:
    return os.fsencode(name).lstrip(b"/")


def _name(path: bytes) -> str:
    words = path.split(b"/")
    if any(word in {b"", b".", b".."} for word in words):
        raise ValueError(f"the path {path!r} leads elsewhere")
    return "/" + os.fsdecode(path)


def _time(ns: int) -> bytes:
    seconds, rest = divmod(abs(ns), 10**9)
    return b"%s%d.%09d" % (b"-" if ns < 0 else b"", seconds, rest)


def _ns(text: bytes) -> int:
    seconds, _, rest = text.lstrip(b"-").partition(b".")
    ns = int(seconds) * 10**9 + int(rest.ljust(9, b"0"))
    return -ns if text.startswith(b"-") else ns
