"""The forms that people fill in when they trigger a DAG. Static: Airflow fixes them when the file is parsed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from airflow.sdk import Param

from include.recovery.policy.models import ProtectedSystem
from include.recovery.policy.tier_models import NEWEST_POINT, RANDOM_SECOND
from include.recovery.runbook.plan import Mode

POINTS = {
    "newest point": "newest point: the newest verifiable one, compared row by row",
    "newest point before 2026-11-20T18:00:00+01:00": "newest point before <time>: edit the time; give an offset or Z",
}

RECOVERY_POINTS = {
    "newest identical": "newest identical: the newest whose restored copy was compared row by row",
    "newest": "newest: the newest undamaged backup, proven or not",
    "newest before 2026-11-20T18:00:00+01:00": "newest before <time>: edit the time; give an offset or Z",
    "newest point": "newest point: for point in time; the newest that rows can be compared with",
    "2026-11-20T18:00:00+01:00": "<time>: for point in time; that second, give an offset or Z",
}

# The drop-downs show some 60 characters of a label; the explanation below the field has room for more.
SCENARIOS = {
    "database_corruption": "Database corruption: restore the whole database",
    "table_corruption": "Table corruption: put back single tables",
    "point_in_time": "Point in time: back to the second before it happened",
    "whole_cluster": "Whole cluster: the server's files are lost or damaged",
}

MODES = {
    Mode.REHEARSAL.value: "Rehearsal: on a scratch server, nothing live is touched",
    Mode.INCIDENT.value: "Incident: replaces live data, once it is approved",
}


class Field(StrEnum):
    """Names of the parameters, shared by the button and the runbooks that it starts."""

    SYSTEMS = "systems"
    SCENARIO = "scenario"
    MODE = "mode"
    RECOVERY_POINT = "recovery_point"
    TABLES = "tables"
    REASON = "reason"
    DRY_RUN = "dry_run"


def backup_form() -> dict[str, Param]:
    """For a backup by hand, such as before an upgrade."""
    return {
        "note": Param(
            None,
            type=["null", "string"],
            maxLength=500,
            title="Note",
            description_md="Why this backup is taken by hand, for example *before upgrade to 4.2*. "
            "Kept in its manifest.",
        ),
        "hold": Param(
            False,
            type="boolean",
            title="Hold",
            description="Keep this backup until somebody releases it, whatever the retention rules say.",
        ),
    }


def drill_form(recovery_point: str) -> dict[str, Param]:
    """For a drill by hand; a scheduled one takes what the policy says, and a random second cannot be chosen."""
    if recovery_point == RANDOM_SECOND:
        return {}
    if recovery_point == NEWEST_POINT:
        return {Field.RECOVERY_POINT: named_point_field()}
    return {Field.RECOVERY_POINT: recovery_point_field(recovery_point)}


def retention_form() -> dict[str, Param]:
    """For retention by hand; a scheduled run removes what its plan lets go."""
    return {
        Field.DRY_RUN: Param(
            False,
            type="boolean",
            title="Dry run",
            description="Only show in the logs which backups would go and which stay, each with its reason.",
        ),
    }


def runbook_form(system: ProtectedSystem) -> dict[str, Param]:
    """For the runbook of one system."""
    scenarios: dict[str, str] = {
        name: f"{SCENARIOS[name]} (RTO {policy.in_words()})" for name, policy in system.scenarios.items()
    }
    return {
        Field.SCENARIO: scenario_field(scenarios, help_of={n: p.help for n, p in system.scenarios.items()}),
        Field.MODE: mode_field(),
        Field.RECOVERY_POINT: recovery_point_field("newest identical"),
        Field.TABLES: tables_field(),
        Field.REASON: reason_field(),
    }


def button_form(systems: Iterable[ProtectedSystem]) -> dict[str, Param]:
    """For the button that starts the runbooks of several systems."""
    titles = {s.system: f"{s.title} (priority {s.priority})" for s in sorted(systems, key=lambda s: s.priority)}
    return {
        Field.SYSTEMS: Param(
            [],
            type="array",
            items={"type": "string", "enum": list(titles) or [""]},
            minItems=0,
            uniqueItems=True,
            examples=list(titles),
            values_display=titles,
            title="Systems",
            description="Which systems to recover; they are taken by priority, equal priorities side by side.",
        ),
        Field.SCENARIO: scenario_field(SCENARIOS),
        Field.MODE: mode_field(),
        Field.RECOVERY_POINT: recovery_point_field("newest identical"),
        Field.TABLES: tables_field(),
        Field.REASON: reason_field(),
    }


def scenario_field(labels: Mapping[str, str], help_of: Mapping[str, str] | None = None) -> Param:
    """What has happened."""
    hints = "".join(f"\n* **{name.replace('_', ' ').capitalize()}**: {text}" for name, text in (help_of or {}).items())
    return Param(
        next(iter(labels)),
        type="string",
        enum=list(labels),
        values_display=dict(labels),
        title="What has happened",
        description_md="Decides what is restored. What is replaced is kept aside, whatever you choose.\n" + hints,
    )


def mode_field() -> Param:
    """Practice or the real thing; practice unless somebody chooses otherwise."""
    return Param(
        Mode.REHEARSAL.value,
        type="string",
        enum=list(MODES),
        values_display=dict(MODES),
        title="Mode",
        description_md="A rehearsal takes the same steps on a scratch server and approves itself. "
        "An **incident** first waits until somebody else than you, of the policy's role, approves its plan.",
    )


def recovery_point_field(default: str) -> Param:
    """Which backup: a suggestion, or typed text."""
    suggestions = dict.fromkeys([default, *RECOVERY_POINTS])
    return Param(
        default,
        type="string",
        minLength=1,
        maxLength=200,
        examples=list(suggestions),
        values_display={name: RECOVERY_POINTS.get(name, name) for name in suggestions},
        title="Recovery point",
        description_md="**newest identical** (its restored copy was compared row by row), **newest** (proven or not), "
        "**newest before 2026-11-20T18:00:00+01:00** (your time, with its offset or Z), or the id of a backup. "
        "Damaged backups are passed over, and the log says which and why.\n\n"
        "*Point in time* and *whole cluster* take a moment instead: a second in the system's own time zone "
        "(**2026-11-21 14:03:07**, or with its offset), **lsn:0/3000028**, the name of a recovery point, "
        "**newest point** (the newest that can be compared row by row), **newest point before 2026-11-20T18:00:00Z**, "
        "or **newest** (all that is archived). The plan says what that keeps and loses before anybody approves it.",
    )


def named_point_field() -> Param:
    """Which named point of the log: a suggestion, or typed text."""
    return Param(
        NEWEST_POINT,
        type="string",
        minLength=1,
        maxLength=200,
        examples=list(POINTS),
        values_display=dict(POINTS),
        title="Recovery point",
        description_md="**newest point** (the newest verifiable one that the archive leads to), **newest point before "
        "2026-11-20T18:00:00+01:00** (your time, with its offset or Z), or the name of a point, such as "
        "*lifeboat_20261121T070003Z_5fb0*. The random second is drawn by the run.",
    )


def tables_field() -> Param:
    """Which tables to put back."""
    return Param(
        None,
        type=["null", "array"],
        items={"type": "string"},
        title="Tables",
        description_md="For table corruption only: one qualified name per line, as SQL writes it, for example "
        "*public.courses*.",
    )


def reason_field() -> Param:
    """Why, for the record."""
    return Param(
        None,
        type=["null", "string"],
        maxLength=500,
        title="Reason",
        description="What was seen, by whom. It opens the incident report.",
    )
