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
import base64
import hmac
import json
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from include.lab.kubernetes_kinds import Kind
from include.lab.kubernetes_store import Key, Object, Refusal, Store
from include.lab.ports import LOOPBACK

VERSION = "v1.34.0-lab"
_REQUIREMENT = re.compile(r"\s*(!?)([^\s=!,()]+)\s*(?:(==|=|!=|in|notin)\s*(\([^)]*\)|[^,]*))?\s*(?:,|$)")


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


@dataclass(frozen=True)
class Request:
    """One request.

    :param verb: as rights name it.
    :param kind: what it is for; None for discovery.
    """

    method: str
    path: str
    query: Mapping[str, str]
    verb: str = ""
    kind: Kind | None = None
    namespace: str | None = None
    name: str | None = None
    part: str | None = None


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
            self.socket = tls.wrap_socket(self.socket, server_side=True)

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
            return _discovery(self.server.store, request.path)
        answer = _resource(self.server.store, request, self.headers.get("Content-Type") or "", body)
        version = request.path.split("/")[2 if not request.kind.group else 3]
        api_version = f"{request.kind.group}/{version}" if request.kind.group else version
        for found in answer["items"] if request.verb == "list" else [answer]:
            found["apiVersion"] = api_version
        return {**answer, "apiVersion": api_version}


def _resource(store: Store, request: Request, content_type: str, body: bytes) -> Object:
    kind, query = request.kind, request.query
    assert kind is not None
    if request.verb == "list":
        return _list(store, request, kind)
    key = Key(kind.name, request.namespace or "", request.name or "")
    dry, manager = query.get("dryRun") == "All", query.get("fieldManager") or "client"
    if request.verb == "get":
        return dict(store.get(key))
    if request.verb == "delete":
        return dict(store.delete(key, dry=dry))
    if "json" not in content_type and "yaml" not in content_type:
        raise Refusal(415, "UnsupportedMediaType", "this server reads JSON alone")
    found = _body(body)
    if request.part == "status":
        return dict(store.status(key, found.get("status")))
    if request.verb == "create":
        return dict(store.create(kind, request.namespace, found, manager=manager, dry=dry))
    if request.verb == "update":
        return dict(store.replace(kind, key, found, manager=manager, dry=dry))
    if "apply-patch" in content_type:
        force = query.get("force") == "true"
        return dict(store.apply(kind, key, found, manager=manager, force=force, dry=dry))
    return dict(store.merge(kind, key, found, manager=manager, dry=dry))


def _list(store: Store, request: Request, kind: Kind) -> Object:
    """A page of a list. The token to go on with holds the moment and where to go on."""
    query, limit = request.query, int(request.query.get("limit") or 0)
    with store.lock:
        revision, behind = store.revision, ("", "")
        if query.get("continue"):
            moment = json.loads(base64.urlsafe_b64decode(query["continue"]))
            revision, behind = int(moment["revision"]), tuple(moment["behind"])
            if revision < store.compacted:
                raise Refusal(410, "Expired", "The provided continue parameter is too old")
        wanted = [
            found
            for found in store.objects(kind.name, request.namespace, revision)
            if _place(found) > behind and _selected(found, query)
        ]
    page = wanted[:limit] if limit else wanted
    metadata: Object = {"resourceVersion": str(revision)}
    if len(page) < len(wanted):
        moment = {"revision": revision, "behind": _place(page[-1])}
        metadata["continue"] = base64.urlsafe_b64encode(json.dumps(moment).encode()).decode()
        metadata["remainingItemCount"] = len(wanted) - len(page)
    return {"kind": f"{kind.kind}List", "metadata": metadata, "items": [dict(found) for found in page]}


def _place(found: Object) -> tuple[str, str]:
    return found["metadata"].get("namespace") or "", found["metadata"]["name"]


def _selected(found: Object, query: Mapping[str, str]) -> bool:
    labels = found["metadata"].get("labels") or {}
    fields = {"metadata.name": found["metadata"]["name"], "metadata.namespace": found["metadata"].get("namespace")}
    return _matches(query.get("labelSelector") or "", labels) and _matches(query.get("fieldSelector") or "", fields)


def _matches(selector: str, values: Mapping[str, Any]) -> bool:
    for absent, key, sign, wanted in _REQUIREMENT.findall(selector):
        options = {each.strip() for each in wanted.strip("() ").split(",")}
        if sign in {"=", "==", "in"}:
            met = values.get(key) in options
        elif sign in {"!=", "notin"}:
            met = values.get(key) not in options
        else:
            met = (key in values) is not bool(absent)
        if not met:
            return False
    return True


def _discovery(store: Store, path: str) -> Object:
    words = [word for word in path.split("/") if word]
    match words:
        case ["version"]:
            return {"major": "1", "minor": "34", "gitVersion": VERSION, "platform": "linux/amd64"}
        case ["healthz" | "readyz" | "livez"]:
            return {"status": "ok"}
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        case ["apis"]:
            groups = dict.fromkeys(kind.group for kind in store.kinds() if kind.group)
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(store, group) for group in groups]}
        case ["apis", group]:
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(store, group)}
        case ["api", version] | ["apis", _, version]:
            group = words[1] if len(words) == 3 else ""
            kinds = [kind for kind in store.kinds() if kind.group == group and version in kind.versions]
            if kinds:
                resources = [kind.resource() for kind in kinds]
                name = f"{group}/{version}" if group else version
                return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": resources}
    raise Refusal(404, "NotFound", "the server could not find the requested resource")


def _group(store: Store, group: str) -> Object:
    names = sorted({version for kind in store.kinds() if kind.group == group for version in kind.versions}, key=_age)
    versions = [{"groupVersion": f"{group}/{name}", "version": name} for name in names]
    if not versions:
        raise Refusal(404, "NotFound", "the server could not find the requested resource")
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def _age(version: str) -> tuple[int, int, int]:
    """By which versions are sorted, the preferred one first: v2, v1, v1beta1, v2alpha1, v1alpha1."""
    found = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if found is None:
        return 3, 0, 0
    return {None: 0, "beta": 1, "alpha": 2}[found[2]], -int(found[1]), -int(found[3] or 0)


def _body(body: bytes) -> Object:
    try:
        found = json.loads(body)
    except ValueError:
        import yaml

        found = yaml.safe_load(body)  # kubectl applies YAML
    if not isinstance(found, dict):
        raise Refusal(400, "BadRequest", "the body is no object")
    return found


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
