"""The lab's Kubernetes API server, on loopback: what clients see of one, without nodes or controllers behind it.

It speaks discovery, create, read, replace, delete, lists in pages of one moment (``limit``, ``continue``; 410 when that
moment is compacted), label selectors, merge patch, server-side apply with owners and conflicts, dry runs, status,
custom resources, bearer tokens with rights, and TLS; good enough for kubectl (``--validate=false``). Objects are kept
in a folder. It lacks watching, schemas, defaulting, admission, garbage collection and every controller but the one that
furnishes a new namespace.

Run as ``python -m include.lab.kubernetes_api --port PORT --folder FOLDER --tokens FILE [--certificate PEM --key PEM]``.
The file of tokens is a JSON object of token to a list of rules; a rule is a JSON object of ``verbs``, ``kinds``
(``<group>/<Kind>``) and ``namespaces``, each a list of shell patterns that is ``["*"]`` when left out.
"""

from __future__ import annotations

import argparse
import hmac
import json
import ssl
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from include.lab.kubernetes_answers import Request, discovery, resource
from include.lab.kubernetes_rules import Key, Object, Refusal
from include.lab.kubernetes_store import Store
from include.lab.ports import LOOPBACK


@dataclass(frozen=True)
class Rule:
    """What a token may do: shell patterns."""

    verbs: tuple[str, ...] = ("*",)
    kinds: tuple[str, ...] = ("*",)
    namespaces: tuple[str, ...] = ("*",)

    def allows(self, verb: str, kind: str, namespace: str) -> bool:
        """Whether it is allowed."""
        asked = ((verb, self.verbs), (kind, self.kinds), (namespace, self.namespaces))
        return all(any(fnmatchcase(each, pattern) for pattern in patterns) for each, patterns in asked)


Trouble = int | Literal["cut"]
"""What may go wrong on purpose: an answer of this status, or one that is cut off in its middle."""


@dataclass
class Rights:
    """Who may do what.

    :param tokens: token to its rules.
    """

    tokens: Mapping[str, Sequence[Rule]] = field(default_factory=dict, repr=False)

    def of(self, header: str) -> Sequence[Rule] | None:
        """The rules of an Authorization header; None for a token that is not known."""
        given = header.removeprefix("Bearer ").encode()
        return next((rules for token, rules in self.tokens.items() if hmac.compare_digest(token.encode(), given)), None)


class ApiServer(ThreadingHTTPServer):
    """The server.

    :ivar trouble: called with each request before it is answered; what it returns goes wrong.
    """

    daemon_threads = True

    def __init__(self, port: int, store: Store, rights: Rights, tls: ssl.SSLContext | None = None) -> None:
        self.store, self.rights = store, rights
        self.trouble: Callable[[Request], Trouble | None] = lambda _: None
        super().__init__((LOOPBACK, port), _Handler)
        if tls is not None:
            # Handshakes belong to the threads that serve: a client that is silent must not keep others out.
            self.socket = tls.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are no news."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    @property
    def url(self) -> str:
        """Its address."""
        return f"http{'s' if isinstance(self.socket, ssl.SSLSocket) else ''}://{LOOPBACK}:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: ApiServer
    protocol_version = "HTTP/1.1"
    wbufsize = 64 * 1024
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        cut = False
        try:
            request = self._understood()
            trouble = self.server.trouble(request)
            cut = trouble == "cut"
            self._check_rights(request, trouble)
            code, answer = 200, self._answered(request, body)
            if self.command == "POST":
                code = 201
        except Refusal as refusal:
            code, answer = refusal.code, _status(refusal)
        content = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if code in {429, 503}:
            self.send_header("Retry-After", "0.1")
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        self.close_connection = self.close_connection or cut

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the parent's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """Say nothing."""

    def _understood(self) -> Request:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        plain = Request(self.command, parts.path, query)
        words = [unquote(word) for word in parts.path.split("/") if word]
        if words[:1] == ["api"] and len(words) > 2:
            group, version, rest = "", words[1], words[2:]
        elif words[:1] == ["apis"] and len(words) > 3:
            group, version, rest = words[1], words[2], words[3:]
        else:
            return plain
        namespace = None
        if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in {"status", "finalize"}:
            namespace, rest = rest[1], rest[2:]
        kind = self.server.store.kind(group, rest[0])
        if version not in kind.versions:
            raise Refusal(404, "NotFound", "the server could not find the requested resource")
        name = rest[1] if len(rest) > 1 else None
        verbs = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
        verb = verbs.get(self.command) or ("get" if name else "list")
        part = rest[2] if len(rest) > 2 else None
        return Request(self.command, parts.path, query, verb, kind, namespace, name, part)

    def _check_rights(self, request: Request, trouble: Trouble | None) -> None:
        if isinstance(trouble, int):
            raise Refusal(trouble, "Trouble", "trouble was asked for")
        rules = self.server.rights.of(self.headers.get("Authorization") or "")
        if rules is None:
            raise Refusal(401, "Unauthorized", "Unauthorized")
        if request.kind is None:
            return
        namespace, verbs = request.namespace or "", [request.verb]
        applies = "apply-patch" in (self.headers.get("Content-Type") or "")
        if applies and self.server.store.find(Key(request.kind.name, namespace, request.name or "")) is None:
            verbs.append("create")
        for verb in verbs:
            if not any(rule.allows(verb, request.kind.name, namespace) for rule in rules):
                where = f' in the namespace "{namespace}"' if namespace else " at the cluster scope"
                raise Refusal(403, "Forbidden", f'cannot {verb} resource "{request.kind.plural}"{where}')
        if request.verb not in request.kind.verbs:
            raise Refusal(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    def _answered(self, request: Request, body: bytes) -> Object:
        if request.kind is None:
            return discovery(self.server.store, request.path)
        answer = resource(self.server.store, request, self.headers.get("Content-Type") or "", body)
        version = request.path.split("/")[2 if not request.kind.group else 3]
        api_version = f"{request.kind.group}/{version}" if request.kind.group else version
        for found in answer["items"] if request.verb == "list" else [answer]:
            found["apiVersion"] = api_version
        return {**answer, "apiVersion": api_version}


def _status(refusal: Refusal) -> Object:
    causes = [{"field": each, "reason": "FieldValueInvalid", "message": refusal.message} for each in refusal.fields]
    return {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": refusal.message,
        "reason": refusal.reason, "details": {"causes": causes}, "code": refusal.code,
    }  # fmt: skip


def read_tokens(path: Path) -> Rights:
    """The rights in a file of tokens."""
    given = json.loads(path.read_text(encoding="utf-8"))
    return Rights({
        token: [Rule(**{name: tuple(patterns) for name, patterns in rule.items()}) for rule in rules]
        for token, rules in given.items()
    })  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description="The lab's Kubernetes API server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--tokens", type=Path, required=True)
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    given = parser.parse_args(arguments)
    tls = None
    if given.certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(given.certificate, given.key)
    ApiServer(given.port, Store(given.folder), read_tokens(given.tokens), tls).serve_forever()


if __name__ == "__main__":
    main()
