"""The sink refuses what Slack refuses, so that a message that it took would have been posted."""

from __future__ import annotations

import pytest

from include.lab.slack_sink import page, problem_of


def section(text: str = "hello", kind: str = "mrkdwn") -> dict[str, object]:
    return {"type": "section", "text": {"type": kind, "text": text}}


@pytest.mark.parametrize(
    "message",
    [
        {"text": "plain"},
        {"text": "fallback", "blocks": [section()]},
        {"blocks": [{"type": "header", "text": {"type": "plain_text", "text": "Down"}}, {"type": "divider"}]},
        {"blocks": [{"type": "section", "fields": [{"type": "mrkdwn", "text": "*RPO*"}]}]},
        {"blocks": [{"type": "context", "elements": [{"type": "mrkdwn", "text": "run 7"}]}]},
        {
            "blocks": [
                {"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "Go"}}]}
            ]
        },
    ],
)
def test_what_slack_posts_is_taken(message: dict[str, object]) -> None:
    assert problem_of(message) is None


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ([], "not a JSON object"),
        ({"text": "  "}, "no_text"),
        ({"blocks": []}, "1 to 50"),
        ({"blocks": [section()] * 51}, "1 to 50"),
        ({"blocks": [{"type": "heading"}]}, "type must be one of"),
        ({"blocks": [section("")]}, "1 to 3000"),
        ({"blocks": [section("x" * 3001)]}, "1 to 3000"),
        ({"blocks": [section(kind="markdown")]}, "mrkdwn or plain_text"),
        ({"blocks": [{"type": "section"}]}, "needs text"),
        ({"blocks": [{"type": "header", "text": {"type": "mrkdwn", "text": "no"}}]}, "plain_text"),
        ({"blocks": [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}]}, "1 to 150"),
        ({"blocks": [{"type": "context", "elements": []}]}, "at most 10"),
    ],
)
def test_what_slack_refuses_is_refused(message: object, problem: str) -> None:
    assert problem in (problem_of(message) or "")


def test_the_page_shows_all_texts_and_runs_none() -> None:
    shown = page([{"at": "now", "blocks": [section("<script>alert(1)</script>")]}])
    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown
