"""Redis: all logical databases of a server, such as a state store of Dapr."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictInt, model_validator

from include.recovery.policy.base import Line, PolicyModel, Word
from include.recovery.policy.content_models import ContentSource


class KeysQuestion(PolicyModel):
    """A count of keys that a restored copy must have. Give ``expect`` or ``at_least``."""

    name: Annotated[
        Line, Field(description="What the count proves, as a sentence.", examples=["actors have snapshots"])
    ]
    keys: Annotated[
        Line,
        Field(description="Pattern of the keys, as SCAN takes it.", examples=["todo||Actor||*"]),
    ]
    database: Annotated[StrictInt, Field(ge=0, description="Number of the logical database.", examples=[0])] = 0
    expect: Annotated[StrictInt | None, Field(ge=0, description="The exact number.", examples=[12])] = None
    at_least: Annotated[StrictInt | None, Field(ge=0, description="The smallest number.", examples=[1])] = None

    @model_validator(mode="after")
    def _is_answerable(self) -> KeysQuestion:
        if (self.expect is None) == (self.at_least is None):
            given = "neither" if self.expect is None else "both"
            raise ValueError(f"found {given} of expect and at_least in question {self.name!r}; give one of them")
        return self

    @property
    def expected(self) -> str:
        """What must come out, in words."""
        return f"at least {self.at_least}" if self.at_least is not None else str(self.expect)

    def accepts(self, found: int) -> bool:
        """Whether a count is right."""
        return found >= self.at_least if self.at_least is not None else found == self.expect


class RedisSource(ContentSource):
    """A Redis server with all its logical databases."""

    kind: Annotated[
        Literal["redis"],
        Field(description="What the source is; decides how it is backed up.", examples=["redis"]),
    ]
    connection: Annotated[
        Word,
        Field(
            description="Airflow connection to the server (host may be a unix socket); backups copy it as a replica.",
            examples=["todo_state"],
        ),
    ]
    restore_connection: Annotated[
        Word | None,
        Field(
            description="Connection of the login that may write, for putting back; left out, nothing is put back.",
            examples=["todo_state_restore"],
        ),
    ] = None
    questions: Annotated[
        tuple[KeysQuestion, ...],
        Field(
            description="Counts that a restored copy must have.",
            examples=[[{"name": "actors have snapshots", "keys": "todo||Actor||*", "at_least": 1}]],
        ),
    ] = ()
