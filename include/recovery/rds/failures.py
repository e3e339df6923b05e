"""The service's refusals as errors of Lifeboat: worth another try, a missing right, or a plain no."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from include.recovery.errors import InsufficientRights, KeyUnavailable, LifeboatError, SourceError, SourceUnavailable

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_RIGHTS = {
    "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthFailure", "InvalidClientTokenId",
    "SignatureDoesNotMatch", "UnrecognizedClientException", "ExpiredToken", "ExpiredTokenException", "NotAuthorized",
    "IncompleteSignature", "MissingAuthenticationToken", "OptInRequired",
}  # fmt: skip
_KEYS = {"KMSKeyNotAccessibleFault"}
_LATER = {
    "InvalidDBInstanceState", "InvalidDBInstanceStateFault", "InvalidDBSnapshotState", "InvalidDBSnapshotStateFault",
    "RequestLimitExceeded", "InternalFailure", "InternalError", "ServiceUnavailable", "RequestTimeout",
    "InsufficientDBInstanceCapacity",
}  # fmt: skip
_QUOTA = {"SnapshotQuotaExceeded", "SnapshotQuotaExceededFault"}
NO_SUCH_INSTANCE = {"DBInstanceNotFound", "DBInstanceNotFoundFault"}
NO_SUCH_SNAPSHOT = {"DBSnapshotNotFound", "DBSnapshotNotFoundFault"}
THERE_ALREADY = {
    "DBSnapshotAlreadyExists", "DBSnapshotAlreadyExistsFault", "DBInstanceAlreadyExists",
    "DBInstanceAlreadyExistsFault",
}  # fmt: skip


class ThereAlready(LifeboatError):
    """Something of that identifier exists."""


class NotThere(LifeboatError):
    """Nothing of that identifier exists."""


@contextmanager
def answers(what: str, where: str) -> Iterator[None]:
    """A context in which the service's errors become Lifeboat's.

    :param what: the action, as rights name it, such as ``rds:CreateDBSnapshot``.
    :param where: region and connection, for messages.
    :raises NotThere, ThereAlready: for whoever called to judge.
    """
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        NoCredentialsError,
        ParamValidationError,
        PartialCredentialsError,
    )
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as error:
        raise meaning(error, what, where) from error
    except ParamValidationError as error:
        raise SourceError(f"{where} cannot be asked for {what}: {error}; correct the policy") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise InsufficientRights(
            f"{where}: {what} cannot be called without credentials; give the connection an access key and its secret, "
            "or this machine a role"
        ) from error
    except BotoCoreError as error:
        raise SourceUnavailable(f"{where} does not answer to {what}: {error}; check the network") from error
    except ResponseParserError as error:
        raise SourceUnavailable(
            f"{where} answers to {what} with something that RDS does not say ({str(error)[:200]}); see what stands in "
            "between, and try again"
        ) from error


def meaning(error: ClientError, what: str, where: str) -> LifeboatError:
    """The error to raise for an answer of the service."""
    told = error.response.get("Error", {})
    code, message = str(told.get("Code", "")), str(told.get("Message", "")).strip() or "no reason given"
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in NO_SUCH_SNAPSHOT or code in NO_SUCH_INSTANCE:
        return NotThere(f"{where}: {message}")
    if code in THERE_ALREADY:
        return ThereAlready(f"{where}: {message}")
    if code in _KEYS:
        return KeyUnavailable(
            f"{where} cannot use the KMS key of {what} ({message}); name a key of that region which is enabled and "
            "whose policy lets this user use it"
        )
    if code in _RIGHTS or status in {401, 403}:
        return InsufficientRights(
            f"{where} refuses {what} ({code}: {message}); correct the connection's keys, or allow its user {what}"
        )
    if code in _QUOTA:
        return SourceError(
            f"{where} takes no more snapshots ({message}); let retention expire some, remove those that nobody needs, "
            "or ask for a higher quota"
        )
    if code in _LATER or "Throttling" in code or status >= 500:
        return SourceUnavailable(f"{where} cannot do {what} now ({code}: {message}); try again later")
    return SourceError(f"{where} refuses {what} ({code}: {message}); correct the policy or the instance")
