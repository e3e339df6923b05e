"""Splitting and rewriting SQL."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.recovery.postgres.sql_text import move_relations, statements, text_of, tokens


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_tokens_joined_give_the_text(text: str) -> None:
    assert "".join(token.text for token in tokens(text)) == text


def test_statements_end_where_sql_ends_them() -> None:
    script = """
        -- a comment; with a semicolon
        CREATE FUNCTION a.f() RETURNS text AS $body$ BEGIN; 'x' END; $body$;
        COMMENT ON ROLE "a;b" IS 'semi;colon ''and'' quote';
        SELECT E'back\\'slash;' /* ; */;
\\connect elsewhere
        SELECT 1"""
    assert [text_of(s).split("(")[0].split()[0] for s in statements(script)] == [
        "CREATE", "COMMENT", "SELECT", "SELECT",
    ]


MOVED = {
    ("public", "users"): ("copy", "users"),
    ("public", "users_id_seq"): ("copy", "users_id_seq"),
    ("Odd Schema", "a.b"): ("copy", "a.b"),
}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("CREATE TABLE public.users (id int)", 'CREATE TABLE "copy"."users" (id int)'),
        ('COPY "Odd Schema"."a.b" (x) FROM stdin;', 'COPY "copy"."a.b" (x) FROM stdin;'),
        ("nextval('public.users_id_seq'::regclass)", "nextval('\"copy\".\"users_id_seq\"'::regclass)"),
        ("DEFAULT 'public.users and more'::text", "DEFAULT 'public.users and more'::text"),
        ("CHECK (public.users_ok(x))", "CHECK (public.users_ok(x))"),
        ("-- public.users\nSELECT 1", "-- public.users\nSELECT 1"),
        ('"public"."users"', '"copy"."users"'),
        ("$$ public.users $$", "$$ public.users $$"),
    ],
)
def test_only_whole_names_of_relations_are_moved(before: str, after: str) -> None:
    assert move_relations(before, MOVED) == after
