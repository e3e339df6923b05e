"""One step of a graph: what it is told, what it may do, and what it leaves behind."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, cast

from airflow.sdk import BaseOperator

from include.recovery.errors import LifeboatError, PolicyError
from include.recovery.evidence.model import Outcome, Phase
from include.recovery.evidence.words import size
from include.recovery.processes import die_with_parent
from include.recovery.runbook.folder import RunFolder
from include.recovery.sources import RunInfo
from recovery_airflow.hooks.workspace import WorkspaceHook

if TYPE_CHECKING:
    from airflow.sdk import Context

EvidenceFolder = Literal["drills", "incidents"]


@dataclass(frozen=True)
class RunFacts:
    """Who runs what, where to look: facts of the task that the rings below need for their records.

    :param requester: user name of whoever triggered the run; None for a scheduled one.
    :param url: the task's page in Airflow.
    """

    dag_id: str
    run_id: str
    task_id: str
    try_number: int
    requester: str | None
    url: str
    started_at: datetime

    @classmethod
    def of(cls, context: Context) -> RunFacts:
        """The facts of a running task."""
        ti, run = context["ti"], context["dag_run"]
        return cls(
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            task_id=ti.task_id,
            try_number=ti.try_number,
            requester=run.triggering_user_name,
            url=ti.log_url,
            started_at=run.start_date or datetime.now(UTC),
        )

    @property
    def run_key(self) -> str:
        """One name for the run across all DAGs, the owner of its leases and evidence."""
        return f"{self.dag_id}/{self.run_id}"

    @property
    def info(self) -> RunInfo:
        """The same facts in the shape of the inner ring."""
        return RunInfo(run_id=self.run_key, try_number=self.try_number, started_by=self.started_by, url=self.url)

    @property
    def started_by(self) -> str:
        """A person or the schedule, in words."""
        return self.requester or f"schedule of {self.dag_id}"


class StepOperator(BaseOperator):
    """Base of Lifeboat's operators. A subclass keeps what it is given, and tells its story in ``perform``.

    What ``perform`` returns goes to XCom, so it holds references (backup ids, keys of evidence, digests), never data
    and never a secret. When the supervisor dies, so does the task, and with it every tool it has started.

    :param system: name of the protected system.
    :param evidence: folder of the store, ``drills`` or ``incidents``, into whose timeline the step goes; None for none.
    """

    template_fields: Sequence[str] = ("system",)
    required: Sequence[str] = ("system",)
    ui_color = "#e8f1fb"
    folder_kind: EvidenceFolder = "incidents"

    def __init__(self, *, system: str, evidence: EvidenceFolder | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("multiple_outputs", True)  # so that `returns` can refer to single values
        super().__init__(**kwargs)
        self.system = system
        self.evidence = evidence

    def execute(self, context: Context) -> Any:
        """Run the step, and leave its times and outcome for the report."""
        die_with_parent()
        self.stop = threading.Event()
        self.started = datetime.now(UTC)
        self.workspace = WorkspaceHook().get_conn()
        run = RunFacts.of(context)
        try:
            self.validate()
            result = self.perform(run, context)
        except Exception as error:
            with contextlib.suppress(LifeboatError):  # the step's own error is the one that people have to see
                self.leave(
                    run, Outcome.FAILED, str(error) if isinstance(error, LifeboatError) else type(error).__name__
                )
            raise
        sentence = self.sentence(result)
        self.log.info("%s: %s", self.task_id, sentence)
        self.leave(run, Outcome.PASSED, sentence)
        return result

    def returns(self, name: str) -> Any:
        """A reference to one of the values that ``perform`` will return, for the steps behind."""
        return cast("Any", self.output)[name]

    def perform(self, run: RunFacts, context: Context) -> Any:
        """The step itself.

        :param run: who runs it.
        :returns: references for the steps behind, as plain JSON.
        """
        raise NotImplementedError

    def validate(self) -> None:
        """Refuse values that rendered to nothing; subclasses add their own checks.

        :raises PolicyError: naming the argument.
        """
        for name in self.required:
            if str(getattr(self, name) or "").strip() in {"", "None"}:
                raise PolicyError(
                    [f"task {self.task_id}: {name} is empty after rendering; give it a value or a template with one"]
                )

    def sentence(self, result: Any) -> str:
        """What the step did, in one line for the report."""
        return str(result.get("sentence", "done")) if isinstance(result, dict) else "done"

    def leave(self, run: RunFacts, outcome: Outcome, sentence: str) -> None:
        """Put the step into the timeline of the run's evidence: when, how it ended, one sentence."""
        if self.evidence is None:
            return
        self.folder(run).record(
            Phase(
                name=self.task_id,
                outcome=outcome,
                started_at=self.started,
                finished_at=datetime.now(UTC),
                attempt=run.try_number,
                note=sentence,
            )
        )

    def folder(self, run: RunFacts) -> RunFolder:
        """The run's folder in the store: plan, markers, timeline."""
        store = self.workspace.store("primary")
        return RunFolder(store=store, system=self.system, run=run.run_key, kind=self.evidence or self.folder_kind)

    @property
    def seconds(self) -> float:
        """How long this try has taken so far."""
        return round((datetime.now(UTC) - self.started).total_seconds(), 3)

    def on_kill(self) -> None:
        """Tell whatever is running to stop: uploads are aborted, tools killed."""
        if stop := getattr(self, "stop", None):
            stop.set()


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def truth(value: bool | str | None) -> bool:
    """A yes or no that may have gone through a template."""
    return value if isinstance(value, bool) else str(value).strip().lower() in {"true", "1", "yes"}


class TaskProgress:
    """Says now and then in the task's log how far long work has come.

    :param log: the task's logger.
    :param every: seconds between two lines.
    """

    def __init__(self, log: Any, every: float = 10.0) -> None:
        self._log = log
        self._every = every
        self._begun = self._said = time.monotonic()
        self._stored = self._content = 0
        self._lock = threading.Lock()

    def add(self, part: str, stored: int, content: int) -> None:
        """Count bytes of a part; called from many threads."""
        with self._lock:
            self._stored += stored
            self._content += content
            now = time.monotonic()
            if now - self._said < self._every:
                return
            self._said = now
            passed = now - self._begun
        self._log.info(
            "%s so far (%s stored), %s/s, now at %s",
            size(self._content), size(self._stored), size(int(self._content / passed)), part,
        )  # fmt: skip
