"""What git says, and what it means for whoever has to act."""

from __future__ import annotations

import pytest

from include.recovery.errors import InsufficientRights, LifeboatError, SourceError, SourceUnavailable, ToolFailed
from include.recovery.git.failures import meaning


@pytest.mark.parametrize(("said", "kind"), [
    ("fatal: Authentication failed for 'https://git.example.org/x.git/'", InsufficientRights),
    ("git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.", InsufficientRights),
    ("Host key verification failed.\nfatal: Could not read from remote repository.", InsufficientRights),
    ("fatal: unable to access 'https://h/x/': Could not resolve host: h", SourceUnavailable),
    ("fatal: unable to access 'http://h/': The requested URL returned error: 503", SourceUnavailable),
    ("error: RPC failed; curl 18 transfer closed with outstanding read data remaining\nfatal: early EOF",
     SourceUnavailable),
    ("fatal: the remote end hung up unexpectedly", SourceUnavailable),
    ("fatal: repository 'https://h/x/' not found", SourceError),
    ("fatal: unable to access 'https://h/': Maximum (0) redirects followed", SourceError),
    ("fatal: not a git repository (or any of the parent directories): .git", SourceError),
    ("error: missing blob object '1234'\nfatal: missing blob", SourceError),
    (" ! [rejected] main -> main (shallow update not allowed)", SourceError),
    ("fatal: unable to access 'https://h/': server certificate verification failed. CAfile: none", SourceError),
    ("fatal: something else", ToolFailed),
])  # fmt: skip
def test_failures_have_a_kind_and_name_the_repository(said: str, kind: type[LifeboatError]) -> None:
    found = meaning(ToolFailed("git", 128, said), "depot/code (/srv/x)", "listing its refs")
    assert type(found) is kind
    assert str(found).startswith("depot/code (/srv/x): listing its refs failed: ")


def test_a_git_that_was_killed_is_worth_another_try() -> None:
    assert isinstance(meaning(ToolFailed("git", -9, ""), "x", "y"), SourceUnavailable)
