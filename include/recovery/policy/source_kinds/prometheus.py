"""Prometheus's time series."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, StrictFloat, StrictInt, model_validator

from include.recovery.policy.base import Duration, Line, PolicyModel, Word
from include.recovery.policy.content_models import ContentSource


class PrometheusQuestion(PolicyModel):
    """A query that a copy must answer rightly. Give ``expect`` or ``at_least``."""

    name: Annotated[Line, Field(description="What it proves, as a sentence.", examples=["every shop was scraped"])]
    query: Annotated[
        Line, Field(description="PromQL that gives one value.", examples=["count(up)", "sum(up == 1) or vector(0)"])
    ]
    before: Annotated[
        Duration, Field(description="It is asked as of so long before the copy's newest sample.", examples=["1h"])
    ] = timedelta(0)
    expect: Annotated[
        StrictInt | StrictFloat | None, Field(description="The exact value it must give.", examples=[3])
    ] = None
    at_least: Annotated[
        StrictInt | StrictFloat | None, Field(description="The smallest value it may give.", examples=[1])
    ] = None

    @model_validator(mode="after")
    def _is_answerable(self) -> PrometheusQuestion:
        if (self.expect is None) == (self.at_least is None):
            given = "neither" if self.expect is None else "both"
            raise ValueError(f"found {given} of expect and at_least in question {self.name!r}; give one of them")
        return self

    @property
    def expected(self) -> str:
        """In words."""
        return f"at least {self.at_least}" if self.at_least is not None else str(self.expect)

    def accepts(self, found: float | None) -> bool:
        """Whether a value is right."""
        if found is None:
            return False
        return found >= self.at_least if self.at_least is not None else found == self.expect


class PrometheusSource(ContentSource):
    """All time series of a Prometheus server. Its tiers say how long backups are kept, whatever the server keeps."""

    kind: Annotated[
        Literal["prometheus"],
        Field(description="What the source is; decides how it is backed up.", examples=["prometheus"]),
    ]
    connection: Annotated[
        Word,
        Field(
            description="Connection to the server: host (or URL), port, 'scheme' and 'verify' in its extra; login and "
            "password, or a bearer token as password. It needs --web.enable-admin-api.",
            examples=["aiaas_prometheus"],
        ),
    ]
    data: Annotated[
        Line | None,
        Field(
            description="The server's data folder (--storage.tsdb.path), as the worker that backs it up sees it; that "
            "worker's user must be able to read it and to remove snapshots. Left out, it is 'data' in the extra of the "
            "connection.",
            examples=["/var/lib/prometheus/metrics2"],
        ),
    ] = None
    questions: Annotated[
        tuple[PrometheusQuestion, ...],
        Field(
            description="Queries that every copy must answer.",
            examples=[[{"name": "something was scraped", "query": "count(up)", "at_least": 1}]],
        ),
    ] = ()
