"""MongoDB: databases of a server, a replica set or a sharded cluster."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictInt, field_validator, model_validator

from include.recovery.policy.base import Line, PolicyModel, Word
from include.recovery.policy.content_models import ContentSource

_CODE = ("$where", "$function", "$accumulator")


class ExcludedCollection(PolicyModel):
    """Collections that no backup holds, and the reason, which every manifest repeats."""

    collection: Annotated[
        Line,
        Field(description="Shell pattern over database.collection.", examples=["labdojo.cache_*"]),
    ]
    why: Annotated[Line, Field(description="Why they may be missing after a recovery.", examples=["rebuilt on start"])]


class DocumentsQuestion(PolicyModel):
    """A count of documents that a restored copy must have. Give ``expect`` or ``at_least``."""

    name: Annotated[
        Line, Field(description="What the count proves, as a sentence.", examples=["there are published courses"])
    ]
    database: Annotated[Line, Field(description="Of the collection.", examples=["labdojo"])]
    collection: Annotated[Line, Field(description="Whose documents are counted.", examples=["courses"])]
    filter: Annotated[
        dict[str, Any],
        Field(
            default_factory=dict,
            description="Which documents count, in MongoDB's query language, as extended JSON; all when left out.",
            examples=[{"published": True}],
        ),
    ]
    expect: Annotated[StrictInt | None, Field(ge=0, description="The exact number.", examples=[12])] = None
    at_least: Annotated[StrictInt | None, Field(ge=0, description="The smallest number.", examples=[1])] = None

    @field_validator("filter")
    @classmethod
    def _runs_no_code(cls, value: dict[str, Any]) -> dict[str, Any]:
        found = sorted(set(_keys(value)) & set(_CODE))
        if found:
            raise ValueError(f"found {', '.join(found)}; allowed are operators that run no code on the server")
        return value

    @model_validator(mode="after")
    def _is_answerable(self) -> DocumentsQuestion:
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


class MongodbSource(ContentSource):
    """Databases of a MongoDB server."""

    kind: Annotated[
        Literal["mongodb"],
        Field(description="What the source is; decides how it is backed up.", examples=["mongodb"]),
    ]
    connection: Annotated[
        Word,
        Field(description="Airflow connection to the server; backups only read.", examples=["labdojo_mongodb"]),
    ]
    restore_connection: Annotated[
        Word | None,
        Field(
            description="Connection of the login that may write, for putting back; left out, nothing is put back.",
            examples=["labdojo_mongodb_restore"],
        ),
    ] = None
    databases: Annotated[
        tuple[Line, ...],
        Field(description="Databases that belong to it; all but the server's own when empty.", examples=[["labdojo"]]),
    ] = ()
    exclude: Annotated[
        tuple[ExcludedCollection, ...],
        Field(
            description="Collections that are left out, each with its reason.",
            examples=[[{"collection": "labdojo.cache_*", "why": "rebuilt on start"}]],
        ),
    ] = ()
    accept_changes: Annotated[
        StrictBool,
        Field(
            description="A server that cannot show one moment (no replica set) is read twice, and a backup in whose "
            "time documents changed is refused; true keeps it all the same, and its manifest says so.",
            examples=[False],
        ),
    ] = False
    questions: Annotated[
        tuple[DocumentsQuestion, ...],
        Field(
            description="Counts that a restored copy must have.",
            examples=[[{"name": "there are courses", "database": "labdojo", "collection": "courses", "at_least": 1}]],
        ),
    ] = ()


def _keys(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [*map(str, value), *(key for each in value.values() for key in _keys(each))]
    if isinstance(value, list | tuple):
        return [key for each in value for key in _keys(each)]
    return []
