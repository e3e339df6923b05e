"""Slack's end of an incoming webhook, on loopback: refuses what Slack would refuse, and shows what was posted.

``POST /services/<token>`` takes a message; ``GET /`` is a page for people, ``GET /messages`` the same as JSON. Messages
are kept in a file, one JSON object a line, so they are there after a restart.

Run as ``python -m include.lab.slack_sink PORT FILE`` with the token in ``LIFEBOAT_SLACK_TOKEN``.
"""

from __future__ import annotations

import hmac
import html
import json
import os
import sys
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from include.lab.ports import LOOPBACK

TOKEN_VARIABLE = "LIFEBOAT_SLACK_TOKEN"  # noqa: S105 - the name of the variable, not the token
_MOST_BLOCKS = 50
_LONGEST = {"header": 150, "section": 3000, "context": 2000, "button": 75}
_KNOWN_BLOCKS = {"header", "section", "divider", "context", "actions", "image", "rich_text"}
_TEXT_TYPES = {"plain_text", "mrkdwn"}


def problem_of(message: object) -> str | None:
    """What Slack would refuse about a webhook's message; None when it would post it.

    A subset of Block Kit's rules: those that a message of text, headers, sections, contexts and buttons can break.
    """
    if not isinstance(message, dict):
        return "invalid_payload: the body is not a JSON object"
    blocks = message.get("blocks")
    if blocks is None:
        has_text = isinstance(message.get("text"), str) and message["text"].strip()
        return None if has_text or message.get("attachments") else "no_text: neither text nor blocks"
    if not isinstance(blocks, list) or not 0 < len(blocks) <= _MOST_BLOCKS:
        return f"invalid_blocks: blocks must be a list of 1 to {_MOST_BLOCKS}"
    problems = (f"blocks[{n}]: {problem}" for n, block in enumerate(blocks) if (problem := _problem_of_block(block)))
    first = next(problems, None)
    return f"invalid_blocks: {first}" if first else None


def _problem_of_block(block: object) -> str | None:
    if not isinstance(block, dict) or block.get("type") not in _KNOWN_BLOCKS:
        return f"type must be one of {', '.join(sorted(_KNOWN_BLOCKS))}"
    match block["type"]:
        case "header":
            return _problem_of_text(block.get("text"), "header", {"plain_text"})
        case "section":
            fields = block.get("fields", [])
            if not isinstance(fields, list) or len(fields) > 10 or not (fields or block.get("text")):
                return "a section needs text, or up to 10 fields"
            texts = [*([block["text"]] if "text" in block else []), *fields]
            return next((found for text in texts if (found := _problem_of_text(text, "section", _TEXT_TYPES))), None)
        case "context" | "actions":
            elements = block.get("elements")
            if not isinstance(elements, list) or not 0 < len(elements) <= (10 if block["type"] == "context" else 25):
                return f"{block['type']} needs elements, at most 10 (context) or 25 (actions)"
            return next((found for element in elements if (found := _problem_of_element(element))), None)
        case _:
            return None


def _problem_of_element(element: object) -> str | None:
    if not isinstance(element, dict):
        return "an element must be an object"
    if element.get("type") == "button":
        return _problem_of_text(element.get("text"), "button", {"plain_text"})
    return _problem_of_text(element, "context", _TEXT_TYPES) if element.get("type") in _TEXT_TYPES else None


def _problem_of_text(text: object, where: str, types: set[str]) -> str | None:
    if not isinstance(text, dict) or text.get("type") not in types:
        return f"text of a {where} must be an object of type {' or '.join(sorted(types))}"
    content = text.get("text")
    if not isinstance(content, str) or not 0 < len(content) <= _LONGEST[where]:
        return f"text of a {where} must have 1 to {_LONGEST[where]} characters"
    return None


class Sink(ThreadingHTTPServer):
    """The server.

    :param token: the last part of the webhook's path; others get 403.
    :param file: where messages are kept.
    """

    daemon_threads = True

    def __init__(self, port: int, token: str, file: Path) -> None:
        self.token = token
        self._file = file
        self._lock = threading.Lock()
        super().__init__((LOOPBACK, port), _Handler)

    def keep(self, message: dict[str, Any], now: datetime) -> None:
        """Add one message."""
        line = json.dumps({"at": now.isoformat(timespec="seconds"), **message}) + "\n"
        with self._lock, self._file.open("a", encoding="utf-8") as file:
            file.write(line)

    def messages(self) -> list[dict[str, Any]]:
        """All messages, oldest first."""
        with self._lock:
            if not self._file.exists():
                return []
            return [json.loads(line) for line in self._file.read_text(encoding="utf-8").splitlines()]


class _Handler(BaseHTTPRequestHandler):
    server: Sink

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        prefix, _, token = self.path.rpartition("/")
        if prefix != "/services" or not hmac.compare_digest(token, self.server.token):
            return self._answer(403, "invalid_token")
        try:
            message = json.loads(body)
        except ValueError:
            return self._answer(400, "invalid_payload: the body is not JSON")
        if problem := problem_of(message):
            return self._answer(400, problem)
        self.server.keep(message, datetime.now(UTC))
        return self._answer(200, "ok")

    def do_GET(self) -> None:
        if self.path == "/messages":
            return self._answer(200, json.dumps(self.server.messages()), "application/json")
        if self.path == "/":
            return self._answer(200, page(self.server.messages()), "text/html")
        return self._answer(404, "not found")

    def _answer(self, status: int, text: str, kind: str = "text/plain") -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """Say nothing: the request line holds the token."""


def page(messages: list[dict[str, Any]]) -> str:
    """The messages as a page, the newest on top."""
    cards = "\n".join(_card(message) for message in reversed(messages)) or "<p>Nothing has been posted yet.</p>"
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="10">
<title>Lifeboat lab: Slack</title><style>
:root {{ color-scheme: light dark }} body {{ font: 15px/1.45 system-ui; max-width: 46rem; margin: 2rem auto }}
article {{ border-left: 4px solid #36c5f0; padding: .2rem 1rem; margin: 1rem 0 }} time {{ opacity: .6 }}
</style><h1>What Slack was told</h1>{cards}</html>"""


def _card(message: dict[str, Any]) -> str:
    lines = list(_texts(message.get("blocks"))) or [str(message.get("text", ""))]
    body = "".join(f"<p>{html.escape(line)}</p>" for line in lines)
    return f"<article><time>{html.escape(str(message.get('at', '')))}</time>{body}</article>"


def _texts(node: object) -> list[str]:
    """All texts below a node of Block Kit, in order."""
    if isinstance(node, list):
        return [text for child in node for text in _texts(child)]
    if isinstance(node, dict):
        if isinstance(node.get("text"), str):
            return [node["text"]]
        return [text for key in ("text", "fields", "elements") for text in _texts(node.get(key))]
    return []


if __name__ == "__main__":
    Sink(int(sys.argv[1]), os.environ[TOKEN_VARIABLE], Path(sys.argv[2])).serve_forever()
