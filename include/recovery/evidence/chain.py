"""The chain of evidence: one signed link for each report, each holding the hash of the link before it.

Links are ``<system>/evidence/<number>.json``, numbered from 1 without gaps and written once, so two runs that end at
the same time line up one after the other. A changed or removed report, a changed, removed or inserted link shows; what
removes the newest links alone does not, which is what the store's object lock is for.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import ValidationError

from include.recovery.errors import LifeboatError, ObjectMissing
from include.recovery.evidence.history import FOLDERS, is_report
from include.recovery.evidence.once import read_once, write_once, written_once
from include.recovery.evidence.records import Instant, Record, canonical, pretty
from include.recovery.evidence.signing import Signature, Signer, Verifier
from include.recovery.evidence.words import plural
from include.recovery.stores.port import ObjectStore

PURPOSE = "evidence"
FIRST = "0" * 128


class Link(Record):
    """What one link says.

    :param objects: key of each object of the report, to its SHA-512.
    :param previous: SHA-512 of the stored link before it; zeros for the first.
    """

    schema_version: Literal[1] = 1
    system: str
    number: int
    at: Instant
    report: str
    objects: dict[str, str]
    previous: str


class SignedLink(Record):
    """A link as it is stored."""

    link: Link
    signature: Signature


@dataclass(frozen=True)
class ChainVerdict:
    """What a verification of the chain found.

    :param problems: one sentence each; empty means that every report is as it was written.
    """

    links: int
    problems: tuple[str, ...]


def append(
    store: ObjectStore, signer: Signer, system: str, report: str, objects: dict[str, bytes], *, now: datetime
) -> str:
    """Add a link for a report that is stored already, and return the link's key. Repeating it adds nothing.

    :param objects: key to content of everything that belongs to the report.
    """
    hashes = {key: hashlib.sha512(content).hexdigest() for key, content in objects.items()}
    numbers = _numbers(store, system)
    previous = FIRST
    if numbers:
        content, signed = _read(store, system, numbers[-1])
        previous = hashlib.sha512(content).hexdigest()
        if signed.link.report == report and signed.link.objects == hashes:
            return link_key(system, signed.link.number)
    for number in itertools.count(numbers[-1] + 1 if numbers else 1):
        link = Link(system=system, number=number, at=now, report=report, objects=hashes, previous=previous)
        content = pretty(SignedLink(link=link, signature=signer.sign(PURPOSE, canonical(link))))
        if write_once(store, link_key(system, number), content):
            return link_key(system, number)
        previous = hashlib.sha512(read_once(store, link_key(system, number))).hexdigest()
    raise AssertionError("unreachable")


def verify(store: ObjectStore, verifier: Verifier, system: str) -> ChainVerdict:
    """Check every link, every signature and every report of a system. Needs only the store and the public key."""
    problems: list[str] = []
    covered: set[str] = set()
    previous = FIRST
    numbers = _numbers(store, system)
    for before, number in zip([0, *numbers], numbers, strict=False):
        if number != before + 1:
            problems.append(f"{link_key(system, number)}: the link before it is missing")
        try:
            content, signed = _read(store, system, number)
        except LifeboatError as error:
            problems.append(str(error))
            previous = ""
            continue
        problems += _link_problems(store, verifier, system, number, signed, previous)
        covered.update(signed.link.objects)
        previous = hashlib.sha512(content).hexdigest()
    for folder in FOLDERS:
        for info in store.list(f"{system}/{folder}/"):
            if is_report(info.key) and info.key not in covered:
                problems.append(f"{info.key}: no link of the chain names this report")
    return ChainVerdict(len(numbers), tuple(problems))


def link_key(system: str, number: int) -> str:
    """Where a link is."""
    return f"{system}/evidence/{number:08d}.json"


def _link_problems(
    store: ObjectStore, verifier: Verifier, system: str, number: int, signed: SignedLink, previous: str
) -> list[str]:
    key = link_key(system, number)
    link = signed.link
    problems = []
    if not verifier.holds(PURPOSE, canonical(link), signed.signature):
        problems.append(f"{key}: the signature does not hold")
    if (link.system, link.number) != (system, number):
        problems.append(f"{key}: it says that it is link {link.number} of {link.system}")
    if link.previous != previous and previous:
        problems.append(f"{key}: the link before it is not the one it was chained to")
    for name, expected in link.objects.items():
        try:
            content, _ = store.get(name)
        except ObjectMissing:
            problems.append(f"{name}: missing, but link {number} names it")
            continue
        if hashlib.sha512(content).hexdigest() != expected:
            problems.append(f"{name}: changed since link {number} was written")
    return problems


def _numbers(store: ObjectStore, system: str) -> list[int]:
    prefix = f"{system}/evidence/"
    names = (key.removeprefix(prefix).removesuffix(".json") for key in written_once(store, prefix))
    return sorted(int(name) for name in names if name.isdecimal())


def _read(store: ObjectStore, system: str, number: int) -> tuple[bytes, SignedLink]:
    key = link_key(system, number)
    content = read_once(store, key)
    try:
        return content, SignedLink.model_validate_json(content)
    except ValidationError as error:
        problems = plural(error.error_count(), "problem")
        raise LifeboatError(f"{key}: not a readable link of the chain ({problems})") from None
