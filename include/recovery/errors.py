"""Everything that Lifeboat raises on purpose.

    LifeboatError
    ├── PolicyError             a policy file is wrong; carries every problem found
    ├── Unavailable             something outside is down or slow: worth another try
    │   ├── StoreUnavailable
    │   ├── SourceUnavailable
    │   └── SourceChanged       it changed while it was read (a SourceError too)
    ├── StoreError              the object store answered, and the answer is no
    │   ├── ObjectMissing
    │   ├── ObjectLocked        object lock keeps this version until its date
    │   └── PreconditionFailed  If-None-Match did not hold
    ├── BackupCorrupt           what is stored is not what was written: never retried
    │   ├── PartMissing
    │   ├── PartDamaged
    │   └── ManifestInvalid
    ├── KeyUnavailable          the backup's key cannot be unwrapped
    │   ├── WrongKey
    │   └── KeyDisabled
    ├── LeaseHeld               another run is writing: this one refuses
    ├── LeaseLost               another run took over: this one must stop writing
    ├── BackupNotFound          no backup fits the request
    ├── SourceError             the protected database cannot be backed up as it is
    │   ├── InsufficientRights
    │   └── RowsHidden          row-level security hides rows from the backup role
    ├── ToolFailed              pg_dump, pg_restore, ... ended with an error
    ├── NotIdentical            a restored copy differs from its snapshot
    ├── CopyLost                the server of a restored copy died before the copy was proven
    └── Refused                 the interlock says no; nothing was touched
        └── ApprovalMissing

Each message is one sentence for the person on duty: where, what was found, what is allowed, what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence


class LifeboatError(Exception):
    """Root of the tree."""


class PolicyError(LifeboatError):
    """A policy file is wrong.

    :param problems: one line for each problem: file, dotted path, what was found, what is allowed.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class Unavailable(LifeboatError):
    """Something outside is down or slow; the same call may succeed later."""


class StoreUnavailable(Unavailable):
    """The object store cannot be reached or answers with a server error."""


class SourceUnavailable(Unavailable):
    """The protected server cannot be reached or went away in the middle."""


class StoreError(LifeboatError):
    """The object store answered, and the answer is no."""


class ObjectMissing(StoreError):
    """No object of that key (or only a delete marker)."""


class ObjectLocked(StoreError):
    """Object lock (or the writer's missing right to delete) keeps this version of an object."""


class PreconditionFailed(StoreError):
    """The object exists already, so this writer was not the first."""


class BackupCorrupt(LifeboatError):
    """What is stored is not what was written. Retrying cannot help."""


class PartMissing(BackupCorrupt):
    """The manifest names a part that the store does not have."""


class PartDamaged(BackupCorrupt):
    """A part's bytes fail authentication or do not have the recorded SHA-512."""


class ManifestInvalid(BackupCorrupt):
    """A manifest cannot be read, or has been changed since it was written."""


class KeyUnavailable(LifeboatError):
    """The backup's own key cannot be unwrapped."""


class WrongKey(KeyUnavailable):
    """The key that was given is not the one the backup was made with."""


class KeyDisabled(KeyUnavailable):
    """The KMS key exists and is disabled or pending deletion."""


class LeaseHeld(LifeboatError):
    """Another live run holds the lease."""


class LeaseLost(LifeboatError):
    """Another run has taken the lease over; this one must stop writing at once."""


class BackupNotFound(LifeboatError):
    """No backup in the catalog fits the request."""


class SourceError(LifeboatError):
    """The protected database cannot be backed up as it is."""


class InsufficientRights(SourceError):
    """The backup role lacks rights on objects that the policy does not exclude."""


class SourceChanged(Unavailable, SourceError):
    """What is backed up changed while it was read, so no backup of it is right; another try may meet it at rest."""


class RowsHidden(SourceError):
    """Row-level security would hide rows from the backup role."""


class ToolFailed(LifeboatError):
    """A client tool ended with an error.

    :param tool: its name, such as ``pg_dump``.
    :param exit_code: negative when a signal ended it.
    :param stderr: the end of what it said, secrets redacted.
    """

    def __init__(self, tool: str, exit_code: int, stderr: str) -> None:
        self.tool = tool
        self.exit_code = exit_code
        self.stderr = stderr
        how = f"was ended by signal {-exit_code}" if exit_code < 0 else f"ended with exit code {exit_code}"
        super().__init__(f"{tool} {how}: {stderr.strip() or 'it said nothing on stderr'}")


class NotIdentical(LifeboatError):
    """A restored copy differs from the snapshot that its backup was taken from."""


class CopyLost(LifeboatError):
    """The server of a restored copy has died, so nothing more can be proven of it; only a new restore helps."""


class Refused(LifeboatError):
    """The interlock refuses; nothing was touched."""


class ApprovalMissing(Refused):
    """No valid signed approval names this action on this target."""
