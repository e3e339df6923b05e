"""Splitting and rewriting the SQL that PostgreSQL's own tools print. Pure.

Only as much of SQL is understood as that needs: where strings, quoted names, dollar quotes and comments begin and end.
Names are always compared as whole tokens, so a name inside a string or a function's body is never touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from include.recovery.postgres.names import quote

Kind = Literal["word", "quoted", "string", "space", "comment", "other"]

_TOKEN = re.compile(
    r"""
      (?P<comment> --[^\n]* | /\*(?:[^*]|\*(?!/))*\*/ )
    | (?P<estring> [eE]'(?:[^'\\]|\\.|'')*' )
    | (?P<string>  (?:[uU]&|[bBxXnN])?'(?:[^']|'')*' )
    | (?P<dollar>  (?P<tag>\$(?:[^\W\d]\w*)?\$).*?(?P=tag) )
    | (?P<quoted>  (?:[uU]&)?"(?:[^"]|"")*" )
    | (?P<word>    [^\W\d][\w$]* )
    | (?P<space>   \s+ )
    | (?P<other>   \d[\w.]* | . )
    """,
    re.VERBOSE | re.DOTALL | re.UNICODE,
)


@dataclass(frozen=True)
class Token:
    """One piece of SQL, exactly as it was written."""

    kind: Kind
    text: str

    @property
    def name(self) -> str | None:
        """The identifier that it is, quotes resolved and case folded; None when it is no identifier."""
        if self.kind == "quoted":
            return self.text[1:-1].replace('""', '"')
        return self.text.lower() if self.kind == "word" else None

    @property
    def upper(self) -> str:
        """A keyword in capitals."""
        return self.text.upper() if self.kind == "word" else self.text


def tokens(sql: str) -> Iterator[Token]:
    """All of the text, in pieces; joined again they give the text."""
    for match in _TOKEN.finditer(sql):
        group = match.lastgroup or "other"
        kinds: dict[str, Kind] = {"estring": "string", "string": "string", "dollar": "string", "tag": "string",
                                  "comment": "comment", "quoted": "quoted", "word": "word", "space": "space"}
        yield Token(kinds.get(group, "other"), match.group())


def statements(sql: str) -> list[list[Token]]:
    """The statements of a script, each without comments around it and without its semicolon.

    Lines that begin with a backslash belong to psql and are dropped.
    """
    script = "\n".join(line for line in sql.split("\n") if not re.match(r"\\(?:un)?restrict\b|\\connect\b", line))
    result: list[list[Token]] = []
    current: list[Token] = []
    for token in tokens(script):
        if token.kind == "comment" or (token.kind == "space" and not current):
            continue
        if token.text == ";":
            if current:
                result.append(current)
            current = []
        else:
            current.append(token)
    if any(token.kind != "space" for token in current):
        result.append(current)
    return result


def text_of(statement: Sequence[Token]) -> str:
    """The statement as text again."""
    return "".join(token.text for token in statement).strip()


def significant(statement: Sequence[Token]) -> list[Token]:
    """The statement without its white space."""
    return [token for token in statement if token.kind != "space"]


def rename_word(statement: Sequence[Token], position: int, name: str) -> list[Token]:
    """The statement with its n-th significant token replaced by a quoted name."""
    result: list[Token] = []
    seen = -1
    for token in statement:
        seen += token.kind != "space"
        result.append(Token("quoted", quote(name)) if token.kind != "space" and seen == position else token)
    return result


def move_relations(sql: str, moved: Mapping[tuple[str, str], tuple[str, str]]) -> str:
    """The SQL with every mention of a relation (``schema.name``) replaced by its new schema and name.

    Also the text of string constants that name a sequence or table, as in ``nextval('public.users_id_seq'::regclass)``.

    :param moved: old schema and name -> new ones.
    """
    return "".join(_moved(list(tokens(sql)), moved))


def _moved(pieces: Sequence[Token], moved: Mapping[tuple[str, str], tuple[str, str]]) -> Iterator[str]:
    position = 0
    while position < len(pieces):
        token = pieces[position]
        dotted = position + 2 < len(pieces) and pieces[position + 1].text == "."
        if dotted and token.name is not None and pieces[position + 2].name is not None:
            new = moved.get((token.name, str(pieces[position + 2].name)))
            if new is not None:
                yield f"{quote(new[0])}.{quote(new[1])}"
            else:
                yield f"{token.text}.{pieces[position + 2].text}"
            position += 3
            continue
        yield _moved_string(token.text, moved) if token.kind == "string" else token.text
        position += 1


def _moved_string(text: str, moved: Mapping[tuple[str, str], tuple[str, str]]) -> str:
    if not text.startswith("'"):
        return text
    inside = list(tokens(text[1:-1].replace("''", "'")))
    if len(inside) != 3 or inside[1].text != "." or inside[0].name is None or inside[2].name is None:
        return text
    new = moved.get((inside[0].name, inside[2].name))
    if new is None:
        return text
    return "'" + f"{quote(new[0])}.{quote(new[1])}".replace("'", "''") + "'"

