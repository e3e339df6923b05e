"""Sources: what is backed up, one model per kind."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StringConstraints, model_validator

from include.recovery.policy.base import Line, PolicyModel, Slug, Word
from include.recovery.policy.export_models import READS, Export
from include.recovery.policy.physical_models import PhysicalOptions, WalArchive
from include.recovery.policy.source_kinds.files import FilesSource
from include.recovery.policy.source_kinds.git import GitSource
from include.recovery.policy.source_kinds.kubernetes import KubernetesSource
from include.recovery.policy.source_kinds.mongodb import MongodbSource
from include.recovery.policy.source_kinds.objects import ObjectsSource
from include.recovery.policy.source_kinds.prometheus import PrometheusSource
from include.recovery.policy.source_kinds.rds import RdsSource
from include.recovery.policy.source_kinds.redis import RedisSource
from include.recovery.policy.source_kinds.terraform import TerraformSource
from include.recovery.policy.source_kinds.vault import VaultSource


class Connections(PolicyModel):
    """The Airflow connections to a database, one for each of its two roles."""

    backup: Annotated[
        Word,
        Field(description="Connection of the role that only reads; backups use it.", examples=["labdojo_backup"]),
    ]
    restore: Annotated[
        Word,
        Field(
            description="Connection of the role that may create and replace databases; restores use it.",
            examples=["labdojo_restore"],
        ),
    ]


class LogicalOptions(PolicyModel):
    """How ``pg_dump`` backups of a source are made and restored."""

    streams: Annotated[
        StrictInt,
        Field(
            ge=1,
            le=16,
            description="Parallel streams of a backup and of a restore; memory grows by about 50 MiB each.",
            examples=[2],
        ),
    ] = 2
    zstd_level: Annotated[
        StrictInt,
        Field(
            ge=1, le=19, description="Compression level of zstd: 1 is fastest, 3 smaller, above 9 slow.", examples=[3]
        ),
    ] = 3


class FingerprintOptions(PolicyModel):
    """How the content of every table is fingerprinted while it is backed up."""

    coverage: Annotated[
        Literal["full"] | Annotated[StrictFloat, Field(gt=0, lt=1)],
        Field(
            description="'full', or the share of rows to sample (between 0 and 1); a sample never counts as identical.",
            examples=["full", 0.1],
        ),
    ] = "full"
    workers: Annotated[
        StrictInt,
        Field(ge=1, le=16, description="Parallel sessions that read tables for the fingerprint.", examples=[2]),
    ] = 2


class Excluded(PolicyModel):
    """A table whose rows no backup holds, and the reason, which every manifest repeats."""

    table: Annotated[
        Line,
        Field(description="Schema-qualified name, quoted as SQL needs it.", examples=["public.cache_entries"]),
    ]
    why: Annotated[
        Line,
        Field(
            description="Why its rows may be missing after a recovery.",
            examples=["rebuilt by the application on start"],
        ),
    ]


class Validation(PolicyModel):
    """A query of the system's own that a restored copy must answer rightly. Give ``expect`` or ``at_least``."""

    name: Annotated[
        Line,
        Field(description="What the query proves, as a sentence.", examples=["every progress row has a user"]),
    ]
    sql: Annotated[
        str,
        StringConstraints(min_length=1, strip_whitespace=True),
        Field(
            description="One reading statement (SELECT, WITH, TABLE, VALUES) that returns one value; run read-only.",
            examples=["select count(*) from users"],
        ),
    ]
    expect: Annotated[
        StrictInt | StrictBool | str | None,
        Field(description="The exact value it must return.", examples=[0]),
    ] = None
    at_least: Annotated[
        StrictInt | None,
        Field(description="The smallest number it may return.", examples=[1]),
    ] = None

    @model_validator(mode="after")
    def _is_answerable(self) -> Validation:
        if (self.expect is None) == (self.at_least is None):
            given = "neither" if self.expect is None else "both"
            raise ValueError(f"found {given} of expect and at_least in validation {self.name!r}; give one of them")
        if not READS.match(self.sql) or ";" in self.sql.rstrip("; \n"):
            raise ValueError(
                f"found {self.sql[:40]!r} in validation {self.name!r}; allowed is one reading statement "
                "(SELECT, WITH, TABLE or VALUES) without a ';' inside"
            )
        return self

    @property
    def expected(self) -> str:
        """What must come back, in words: ``0`` or ``at least 1``."""
        return f"at least {self.at_least}" if self.at_least is not None else str(self.expect)

    def accepts(self, found: object) -> bool:
        """Whether a value that the query returned is right.

        :param found: a number, text or None, as the driver returned it.
        """
        if self.at_least is not None:
            try:
                return found is not None and float(str(found)) >= self.at_least
            except ValueError:
                return False
        return found == self.expect or (found is not None and str(found) == str(self.expect))


class PostgresSource(PolicyModel):
    """A PostgreSQL database; with ``physical``, its whole cluster too."""

    name: Annotated[
        Slug,
        Field(description="Name of the source, unique in the system; part of every object key.", examples=["main-db"]),
    ]
    kind: Annotated[
        Literal["postgres"],
        Field(description="What the source is; decides how it is backed up.", examples=["postgres"]),
    ]
    data_class: Annotated[
        Slug,
        Field(description="Which of the system's objectives hold for it.", examples=["tier-1"]),
    ]
    database: Annotated[
        str,
        StringConstraints(min_length=1, max_length=63),
        Field(description="Name of the database on its server.", examples=["labdojo"]),
    ]
    connections: Annotated[
        Connections,
        Field(
            description="Airflow connections to its server.",
            examples=[{"backup": "labdojo_backup", "restore": "labdojo_restore"}],
        ),
    ]
    logical: Annotated[
        LogicalOptions,
        Field(description="Options of pg_dump backups.", examples=[{"streams": 2, "zstd_level": 3}]),
    ] = LogicalOptions()
    physical: Annotated[
        PhysicalOptions | None,
        Field(
            description="How pgBackRest protects the whole cluster that the database is in; leave out where only "
            "pg_dump is used.",
            examples=[{"connection": "labdojo_cluster"}],
        ),
    ] = None
    wal: Annotated[
        WalArchive | None,
        Field(
            description="The cluster's continuous WAL archive, from which it is restored to any second; goes with "
            "'physical'.",
            examples=[{"archive_timeout": "60s", "push_allowance": "60s", "keep": "72h"}],
        ),
    ] = None
    fingerprint: Annotated[
        FingerprintOptions,
        Field(description="How rows are fingerprinted.", examples=[{"coverage": "full"}]),
    ] = FingerprintOptions()
    exclude: Annotated[
        tuple[Excluded, ...],
        Field(
            description="Tables whose rows are left out of backups, each with its reason.",
            examples=[[{"table": "public.cache_entries", "why": "rebuilt by the application on start"}]],
        ),
    ] = ()
    validation: Annotated[
        tuple[Validation, ...],
        Field(
            description="The system's own queries, run on every restored copy.",
            examples=[[{"name": "there are users", "sql": "select count(*) from users", "at_least": 1}]],
        ),
    ] = ()
    exports: Annotated[
        tuple[Export, ...],
        Field(
            description="What each dump also keeps as CSV, from its own snapshot.",
            examples=[[{"name": "user-progress", "table": "public.user_progress", "order_by": ["user_id"]}]],
        ),
    ] = ()


Source = Annotated[
    PostgresSource
    | FilesSource
    | GitSource
    | KubernetesSource
    | MongodbSource
    | ObjectsSource
    | PrometheusSource
    | RdsSource
    | RedisSource
    | TerraformSource
    | VaultSource,
    Field(discriminator="kind"),
]
"""Any source. Kinds that are backed up item by item have their models in ``source_kinds/``."""
