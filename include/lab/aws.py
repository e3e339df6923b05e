"""KMS, Route 53 and RDS: moto's server on loopback over TLS, made fit for a lab that is started more than once.

moto keeps everything in memory. For Route 53 that is so here too: zones are gone after a restart. For KMS it must not
be, or all earlier backups of the lab would be unreadable; so after each call that changes keys the symmetric ones are
written to a file (mode 600, key material in clear: this emulates a KMS, it is none), and read again at the start; RDS
likewise (``lasting_rds.py``). Grants, key policies and asymmetric keys are not kept. moto also lets a disabled key
decrypt; here it is refused, as AWS does.

Run as ``python -m include.lab.aws PORT STATE CERTIFICATE KEY``.
"""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import ssl
import sys
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from include.lab.lasting_rds import LastingDatabases, changes, service_of
from include.lab.ports import LOOPBACK
from include.lab.tls import write_private

ACCOUNT = "123456789012"
_KEPT = ("id", "description", "enabled", "key_state", "key_rotation_status", "creation_date", "rotations")
_USES_A_KEY = ("Encrypt", "Decrypt", "ReEncrypt", "GenerateDataKey")
_READ_ONLY = ("Describe", "List", "Get", "GenerateRandom", *_USES_A_KEY)
_KEY_ID_BYTES = 36  # moto begins a ciphertext with the key's id
_REFUSALS = {
    "Disabled": ("DisabledException", "{} is disabled."),
    "PendingDeletion": ("KMSInvalidStateException", "{} is pending deletion."),
}

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class LastingKeys:
    """A WSGI layer around moto that keeps the KMS keys and RDS in files, and refuses the use of disabled keys."""

    def __init__(self, app: WsgiApp, path: Path) -> None:
        self._app = app
        self._path = path
        self._databases = LastingDatabases(path.with_suffix(".rds"), ACCOUNT)
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer as AWS would; before the answer goes out, what it changed is on disk."""
        service, _, action = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
        databases = service_of(environ.get("HTTP_AUTHORIZATION", "")) == "rds"
        if service != "TrentService" and not databases:
            return self._app(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        if databases:
            answer = list(self._app(environ, start_response))
            if changes(body):
                with self._lock:
                    self._databases.save()
            return answer
        if action.startswith(_USES_A_KEY) and (refusal := _refusal(_region(environ), json.loads(body))):
            start_response("400 Bad Request", [("Content-Type", "application/x-amz-json-1.1")])
            return [json.dumps(refusal).encode()]
        answer = list(self._app(environ, start_response))
        if not action.startswith(_READ_ONLY):
            self.save()
        return answer

    def save(self) -> None:
        """Write all symmetric keys."""
        from moto.kms.models import kms_backends

        with self._lock:
            keys = [
                {
                    **{name: getattr(key, name) for name in _KEPT},
                    "region": region,
                    "deletion_date": key.deletion_date.isoformat() if key.deletion_date else None,
                    "key_material": base64.b64encode(key.key_material).decode(),
                    "aliases": sorted(key.aliases),
                }
                for region, backend in kms_backends[ACCOUNT].items()
                for key in backend.keys.values()
                if key.key_spec == "SYMMETRIC_DEFAULT"
            ]
            write_private(self._path, json.dumps(keys, indent=1, default=str).encode())

    def load(self) -> None:
        """Put the keys of the file into moto."""
        from moto.kms.models import kms_backends

        self._databases.load()
        if not self._path.exists():
            return
        for saved in json.loads(self._path.read_text(encoding="utf-8")):
            backend = kms_backends[ACCOUNT][saved["region"]]
            key = backend.create_key(None, "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", saved["description"], None)
            del backend.keys[key.id]
            for name in _KEPT:
                setattr(key, name, saved[name])
            key.arn = key.arn.rpartition("/")[0] + "/" + key.id
            key.key_material = base64.b64decode(saved["key_material"])
            if saved["deletion_date"]:
                key.deletion_date = datetime.fromisoformat(saved["deletion_date"])
            backend.keys[key.id] = key
            for alias in saved["aliases"]:
                backend.create_alias(key.id, alias)


def _region(environ: dict[str, Any]) -> str:
    """The region that a request is signed for: ``Credential=<key>/<date>/<region>/kms/aws4_request``."""
    parts = str(environ.get("HTTP_AUTHORIZATION", "")).split("/")
    return parts[2] if len(parts) > 2 else "us-east-1"


def _refusal(region: str, request: dict[str, Any]) -> dict[str, str] | None:
    """AWS's answer when a key may not be used in its state; None when it may."""
    from moto.kms.models import kms_backends

    backend = kms_backends[ACCOUNT][region]
    named = str(request.get("KeyId") or "")
    if not named:
        named = base64.b64decode(request.get("CiphertextBlob", ""))[:_KEY_ID_BYTES].decode("ascii", "replace")
    key = backend.keys.get(backend.any_id_to_key_id(named))
    if key is None or key.key_state not in _REFUSALS:
        return None
    kind, sentence = _REFUSALS[key.key_state]
    return {"__type": kind, "message": sentence.format(key.arn)}


def main(port: int, state: Path, certificate: Path, key: Path) -> None:
    """Serve until told to stop."""
    os.environ.setdefault("MOTO_PORT", str(port))
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import run_simple

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    app = LastingKeys(DomainDispatcherApplication(create_backend_app), state)
    app.load()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    run_simple(LOOPBACK, port, app, threaded=True, ssl_context=context, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main(int(sys.argv[1]), *(Path(word) for word in sys.argv[2:5]))
