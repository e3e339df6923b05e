"""What a failure of git means: worth another try, a right that is missing, or a repository that is broken."""

from __future__ import annotations

from include.recovery.errors import InsufficientRights, LifeboatError, SourceError, SourceUnavailable, ToolFailed

_DENIED = (
    "authentication failed", "could not read username", "could not read password", "permission denied",
    "access denied", "returned error: 401", "returned error: 403", "host key verification failed",
    "not allowed to push", "protected branch", "pre-receive hook declined", "unable to create temporary file",
    "insufficient permission",
)  # fmt: skip
_GONE = (
    "could not resolve host", "couldn't connect", "failed to connect", "connection refused", "connection timed out",
    "connection reset", "connection closed", "hung up", "early eof", "rpc failed", "returned error: 5",
    "unable to look up", "operation timed out", "operation too slow", "ssl_error", "gnutls_handshake",
    "unexpected disconnect",
    "invalid index-pack output", "network is unreachable", "no route to host",
)  # fmt: skip
_SHALLOW = ("shallow update", "shallow file", "is shallow", "from shallow")
_TELLING = ("fatal:", "error:", "error ", "remote:", "missing", "denied", "failed", "refused", "rejected")
_ABSENT = ("not found", "does not appear to be a git repository", "not a git repository", "access denied or repository")
_DAMAGED = (
    "missing", "bad object", "corrupt", "unable to read", "broken link", "hash mismatch", "invalid object",
    "does not point to a valid object", "could not read", "inflate", "sha1 mismatch", "hash-path mismatch",
    "bad tree", "error in ",
)  # fmt: skip
_MEANINGS: tuple[tuple[tuple[str, ...], type[LifeboatError], str], ...] = (
    (("certificate",), SourceError, "name its authority in the connection's 'ca_bundle', if it is the right host"),
    (_DENIED, InsufficientRights,
     "correct the connection's login, password, key or host key, or what that account may do"),
    (("redirect",), SourceError, "write the new address into the policy, since redirects are not followed"),
    (_GONE, SourceUnavailable, "try again when the server answers"),
    (_ABSENT, SourceError, "correct the address, or what the connection's account may see"),
    (_DAMAGED, SourceError, "the repository is damaged: restore it from the newest backup"),
)  # fmt: skip


def meaning(error: ToolFailed, where: str, doing: str) -> LifeboatError:
    """The error to raise for git's.

    :param where: the repository, without credentials.
    :param doing: what git was to do, such as ``listing its refs``.
    """
    words, said = error.stderr.lower(), last_words(error.stderr)
    what = f"{where}: {doing} failed"
    if error.exit_code < 0:
        return SourceUnavailable(f"{what}: git was ended by signal {-error.exit_code}; try again")
    if any(each in words for each in _SHALLOW):
        return SourceError(f"{what}: {shallow(said)}")
    for signs, kind, advice in _MEANINGS:
        if any(each in words for each in signs):
            return kind(f"{what}: {said}; {advice}")
    named = ToolFailed(error.tool, error.exit_code, error.stderr)
    named.args = (f"{what}: {error}",)
    return named


def shallow(said: str) -> str:
    """Why a repository without all of its history is refused."""
    return (
        f"it is a shallow clone ({said}), so its history is not there to be backed up; back up the repository that it "
        f"was cloned from, or run `git fetch --unshallow`"
    )


def last_words(text: str) -> str:
    """The lines that say what is wrong, in one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if any(word in line.lower() for word in _TELLING)] or lines
    return " ".join(telling[-3:])[-600:] or "git said nothing"
