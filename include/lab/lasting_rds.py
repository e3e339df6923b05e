"""The emulated RDS over restarts: instances and snapshots in a file, as a catalog that names snapshots needs them."""

from __future__ import annotations

import pickle
from pathlib import Path

from include.lab.tls import write_private

READ_ONLY = ("Describe", "List", "Download")


class LastingDatabases:
    """moto's RDS of one account, kept in a file (mode 600) that nobody else writes.

    :param account: of moto.
    """

    def __init__(self, path: Path, account: str) -> None:
        self._path = path
        self._account = account

    def save(self) -> None:
        """Write all regions."""
        from moto.rds.models import rds_backends

        found = {
            region: backend
            for region, backend in rds_backends[self._account].items()
            if backend.databases or backend.database_snapshots
        }
        write_private(self._path, pickle.dumps(found))

    def load(self) -> None:
        """Put the regions of the file into moto."""
        from moto.rds.models import rds_backends

        if self._path.exists():
            regions = rds_backends[self._account]
            for region, backend in pickle.loads(self._path.read_bytes()).items():  # noqa: S301  our own file
                regions[region] = backend


def service_of(authorization: str) -> str:
    """Which service a request is signed for: ``Credential=<key>/<date>/<region>/<service>/aws4_request``."""
    parts = authorization.split("/")
    return parts[3] if len(parts) > 3 else ""


def changes(body: bytes) -> bool:
    """Whether a call of RDS may change something, by its form."""
    action = next((word[7:] for word in body.decode("ascii", "replace").split("&") if word.startswith("Action=")), "")
    return not action.startswith(READ_ONLY)
