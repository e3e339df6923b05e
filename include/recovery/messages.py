"""What Lifeboat tells people: each message as plain text and as Slack blocks, from facts alone.

Every function returns a ``Message``. Text from outside (errors, names) is escaped and cut to what Slack takes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from include.recovery import errors
from include.recovery.policy.durations import print_duration

Block = dict[str, Any]

_HEADER = 150
_SECTION = 3000
_FIELD = 2000
_FIELDS = 10
_BUTTON = 75
_URL = 3000
_BLOCKS = 50
_TEXT = 4000
_MOST_SECTIONS = 8

_WHAT_TO_DO: tuple[tuple[type[BaseException], str], ...] = (
    (errors.PolicyError, "Correct the policy file; the system's schedules stand still until then."),
    (errors.StoreUnavailable, "Check the store's endpoint and network. The task tries again by itself."),
    (errors.SourceUnavailable, "Check the protected server and the way to it. The task tries again by itself."),
    (errors.Unavailable, "Check what is named above. The task tries again by itself."),
    (
        errors.BackupCorrupt,
        "Do not delete anything: an older backup and the other store's copy may be good. Trying again cannot help.",
    ),
    (errors.KeyDisabled, "Enable the key in the key service, or recover with the escrow key."),
    (errors.KeyUnavailable, "Use the key that the backup was made with, or recover with the escrow key."),
    (errors.LeaseHeld, "Another run is at work; wait for it, or stop it before trying again."),
    (errors.LeaseLost, "Another run has taken over; look at that one."),
    (errors.BackupNotFound, "See what there is with `lifeboat list`, and choose another recovery point."),
    (errors.InsufficientRights, "Run `lifeboat prepare` for the database, or exclude the object in the policy."),
    (errors.RowsHidden, "Give the backup role BYPASSRLS (`lifeboat prepare` does); otherwise rows are missing."),
    (errors.StoreError, "Check what the store's credentials may do, and the bucket's settings."),
    (errors.SourceError, "Correct what is named, in the database or in the policy."),
    (errors.ToolFailed, "Read what the tool said; the run's log has all of it."),
    (errors.CopyLost, "Find out why the scratch server died; then start the run again, with a new copy."),
    (errors.NotIdentical, "Do not rely on this backup. Look at the differences, then take and drill a new one."),
    (errors.ApprovalMissing, "Have the plan approved by the people that the policy names."),
    (errors.Refused, "Read why; nothing was touched."),
)
_ELSE = "Open the run and read the task's log."


@dataclass(frozen=True)
class Message:
    """One message.

    :param text: all of it in plain text; notifications and screen readers show this.
    :param blocks: the same for Slack.
    """

    text: str
    blocks: tuple[Block, ...]


def what_to_do(error: BaseException | None) -> str:
    """The next action for the person on duty, by the kind of error."""
    return next((advice for kind, advice in _WHAT_TO_DO if isinstance(error, kind)), _ELSE)


def task_failed(
    *,
    system: str,
    what: str,
    since: datetime,
    url: str,
    rpo_left: timedelta | None = None,
    error: BaseException | str | None = None,
    now: datetime | None = None,
) -> Message:
    """A task failed for good.

    :param system: title or name of the system.
    :param what: what failed, such as ``backup of main-db (weekly-full)``.
    :param since: when it began to fail, aware.
    :param url: of the run.
    :param rpo_left: time until the newest recoverable point is too old; negative when it is; None when not known.
    :param error: what was raised, or its text.
    :param now: to say how long ago ``since`` was.
    """
    facts = {"System": system, "Since": _moment(since, now), "RPO": rpo_in_words(rpo_left)}
    action = what_to_do(error if isinstance(error, BaseException) else None)
    title = f"{system}: {what} failed"
    return _message("🔴", title, _cause(error), facts, action, url)


def task_recovered(*, system: str, what: str, failed_since: datetime, now: datetime, url: str) -> Message:
    """What had failed works again."""
    facts = {"System": system, "Failed since": _moment(failed_since, None), "For": _span(now - failed_since)}
    return _message("🟢", f"{system}: {what} works again", "", facts, "", url)


def notice(
    *,
    system: str,
    title: str,
    summary: str = "",
    facts: Mapping[str, str] | None = None,
    to_do: str = "",
    url: str = "",
    good: bool | None = None,
) -> Message:
    """News of a runbook or drill: declared, approval wanted, phase done, all clear.

    :param facts: label to value, shown in two columns.
    :param good: True for good news, False for bad, None for neither.
    """
    symbol = {True: "🟢", False: "🔴", None: "🔵"}[good]
    return _message(symbol, f"{system}: {title}", summary, {"System": system, **(facts or {})}, to_do, url)


def approval_wanted(*, system: str, plan: str, role: str, people: Sequence[str], until: datetime, url: str) -> Message:
    """Somebody must read a plan and say yes or no.

    :param plan: the plan in words.
    :param until: when the request expires.
    """
    facts = {"System": system, "Role": role, "People": ", ".join(people), "Until": _moment(until, None)}
    return _message("🟠", f"{system}: a recovery waits for approval", plan, facts, "Read the plan and answer.", url)


def alarm(
    *, system: str, cause: str, severity: str, sentence: str, since: datetime, now: datetime, worse: bool, url: str
) -> Message:
    """The watchdog found something; told once.

    :param cause: its short name.
    :param sentence: what was found; behind its last semicolon, what to do.
    :param worse: whether it was told before, and is graver now.
    """
    found, separator, action = sentence.rpartition("; ")
    symbol = {"critical": "🔴", "warning": "🟠"}.get(severity, "🔵")
    title = f"{system}: {cause} is worse now" if worse else f"{system}: {cause}"
    facts = {"System": system, "Severity": severity, "Since": _moment(since, now)}
    body, action = (found, _sentence(action)) if separator else (sentence, _ELSE)
    return _message(symbol, title, body, facts, action, url)


def alarm_over(*, system: str, cause: str, sentence: str, since: datetime, over_at: datetime, url: str) -> Message:
    """What the watchdog had found is over.

    :param sentence: what it was, as it was last found.
    """
    facts = {"System": system, "Since": _moment(since, None), "For": _span(over_at - since)}
    return _message("🟢", f"{system}: {cause}: all clear", f"It was: {sentence}", facts, "", url)


def overdue(*, system: str, what: str, due: datetime, now: datetime, to_do: str, url: str) -> Message:
    """A run is still going on after it should have ended.

    :param what: which, for people.
    """
    facts = {"System": system, "Severity": "warning", "Due": _moment(due, now)}
    return _message("🟠", f"{system}: {what} takes too long", "", facts, to_do, url)


def policy_problems(problems: Sequence[str], *, url: str = "") -> Message:
    """Policies cannot be used; their systems' schedules have stopped."""
    number = f"{len(problems)} problem{'s' if len(problems) != 1 else ''}"
    lines = "\n".join(f"• {problem}" for problem in problems)
    action = what_to_do(errors.PolicyError(problems))
    return _message("🔴", f"Policies: {number}", lines, {}, action, url)


def rpo_in_words(left: timedelta | None) -> str:
    """How much of the RPO is left: ``3h12m left``, ``exceeded by 5m``, or that nobody knows."""
    if left is None:
        return "not known"
    if left < timedelta():
        return f"exceeded by {_span(-left)}"
    return f"{_span(left)} left"


def _message(symbol: str, title: str, body: str, facts: Mapping[str, str], action: str, url: str) -> Message:
    lines = [f"{symbol} {title}", body, *(f"{label}: {value}" for label, value in facts.items())]
    lines += [f"What to do: {action}" if action else "", url]
    blocks: list[Block] = [{"type": "header", "text": _plain(f"{symbol} {title}", _HEADER)}]
    blocks += [{"type": "section", "text": _plain(piece, _SECTION)} for piece in _pieces(body)]
    columns = [_labelled(label, value, _FIELD) for label, value in facts.items()]
    blocks += [{"type": "section", "fields": columns[at : at + _FIELDS]} for at in range(0, len(columns), _FIELDS)]
    if action:
        blocks.append({"type": "section", "text": _labelled("What to do", action, _SECTION)})
    if url.startswith(("http://", "https://")) and len(url) <= _URL:
        button = {"type": "button", "text": _plain("Open the run", _BUTTON), "url": url}
        blocks.append({"type": "actions", "elements": [button]})
    return Message(text="\n".join(line for line in lines if line)[:_TEXT], blocks=tuple(blocks[:_BLOCKS]))


def _plain(text: str, limit: int) -> Block:
    """Text that Slack shows as it is: no formatting, no mentions, no emoji codes."""
    return {"type": "plain_text", "text": _cut(text, limit), "emoji": False}


def _labelled(label: str, value: str, limit: int) -> Block:
    """A bold label above a value, whose own characters format and mention nothing."""
    head = f"*{_escaped(label)}*\n"
    return {"type": "mrkdwn", "text": head + _cut(_escaped(value) or "-", limit - len(head)), "verbatim": True}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, limit: int) -> str:
    """The text, or its beginning and an ellipsis; never half of an escaped character."""
    if len(text) <= limit:
        return text
    return re.sub(r"&[a-z]*$", "", text[: limit - 1]) + "…"


def _pieces(text: str) -> list[str]:
    """A long text in pieces of a section each, cut between lines where there are lines."""
    pieces: list[str] = []
    rest = text.strip()
    while rest and len(pieces) < _MOST_SECTIONS:
        end = len(rest)
        if end > _SECTION:
            line_end = rest.rfind("\n", 1, _SECTION)
            end = line_end if line_end > 0 else _SECTION
        pieces.append(rest[:end])
        rest = rest[end:].lstrip("\n")
    if rest:
        pieces[-1] = _cut(pieces[-1], _SECTION - 60) + f"\n… and {len(rest)} more characters in the log"
    return pieces


def _cause(error: BaseException | str | None) -> str:
    if error is None or isinstance(error, str):
        return error or ""
    return str(error) or type(error).__name__


def _sentence(words: str) -> str:
    """With a capital and a full stop."""
    return f"{words[:1].upper()}{words[1:].rstrip('.')}."


def _moment(at: datetime, now: datetime | None) -> str:
    moment = at.strftime("%Y-%m-%d %H:%M %Z").strip()
    return moment if now is None else f"{moment} ({_span(now - at)} ago)"


def _span(duration: timedelta) -> str:
    """A duration without the units that nobody reads beside the larger ones."""
    whole = max(duration, timedelta())
    step = 60 if whole >= timedelta(minutes=2) else 1
    return print_duration(timedelta(seconds=int(whole.total_seconds()) // step * step))
