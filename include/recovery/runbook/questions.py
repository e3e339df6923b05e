"""The system's own questions, put to a database: one reading statement each, one value, and whether it is right."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

import psycopg

from include.recovery.evidence.model import Check, Outcome
from include.recovery.policy.models import Validation
from include.recovery.postgres.server import PostgresServer, sql

PATIENCE = "10min"
"""Longest time for one question."""


def ask(server: PostgresServer, questions: Sequence[Validation], *, source: str) -> list[Check]:
    """Put every question, each in a read-only transaction of its own; one that fails does not keep the others from it.

    :param source: name of the source, for the report.
    :raises SourceUnavailable, SourceError: when nobody can log in at all.
    """
    # Questions are written as the application would write them: unqualified names are looked up in public.
    settings = {"default_transaction_read_only": "on", "statement_timeout": PATIENCE, "search_path": "public"}
    with server.connect(settings=settings) as connection:
        return [_ask(connection, question, source) for question in questions]


def _ask(connection: psycopg.Connection[tuple[object, ...]], question: Validation, source: str) -> Check:
    began = monotonic()
    try:
        row = connection.execute(sql(question.sql)).fetchone()
        value = row[0] if row else None
        right, found = question.accepts(value), str(value)
    except psycopg.Error as error:
        right, found = False, f"an error: {error.diag.message_primary or type(error).__name__}"
    return Check(
        name=question.name,
        outcome=Outcome.PASSED if right else Outcome.FAILED,
        source=source,
        expected=question.expected,
        found=found,
        output=f"{question.sql}\n{found}",
        seconds=round(monotonic() - began, 3),
    )
