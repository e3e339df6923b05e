"""Alerts to Slack through the provider's webhook notifier. An outage of Slack is logged and never fails a task."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier

from include.recovery import messages
from include.recovery.errors import LifeboatError
from recovery_airflow.hooks.workspace import WorkspaceHook

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.recovery.messages import Message
    from include.recovery.workspace import Workspace

SECONDS = 10
"""How long a message may take; an alert is not worth a stuck worker."""


class SlackNotice(SlackWebhookNotifier):
    """Sends one message of ``include.recovery.messages`` and swallows, with a log line, whatever Slack has against it.

    :param slack_webhook_conn_id: connection of the webhook; None takes the one that the platform's policy names.
    """

    def __init__(self, *, slack_webhook_conn_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(slack_webhook_conn_id=slack_webhook_conn_id or "", text="", timeout=SECONDS, **kwargs)

    def notify(self, context: Context) -> None:
        """Send what ``message`` says, if it says anything."""
        try:
            workspace = WorkspaceHook().get_conn()
            message = self.message(context, workspace)
            if message is not None:
                self.send(workspace, message)
        except Exception as error:
            self.log.warning("no message reached Slack (%s: %s); the task goes on", type(error).__name__, error)

    def send(self, workspace: Workspace, message: Message) -> None:
        """Post one message through the provider's hook."""
        self.slack_webhook_conn_id = (
            self.slack_webhook_conn_id or workspace.policies.platform.notifications.slack_connection
        )
        self.hook.send(text=message.text, blocks=list(message.blocks))

    def message(self, context: Context, workspace: Workspace) -> Message | None:
        """What to say; None keeps quiet."""
        raise NotImplementedError


class SlackAlert(SlackNotice):
    """Says that a task has failed: system, what, since when, how much of the RPO is left, and where to look."""

    def message(self, context: Context, workspace: Workspace) -> Message | None:
        """The alert; none for a verdict whose causes have raised their own."""
        error = context.get("exception")
        if getattr(error, "alerted", False):
            return None
        ti, task = context["ti"], context["task"]
        system = str(getattr(task, "system", ti.dag_id))
        return messages.task_failed(
            system=system,
            what=what_failed(context["dag"].dag_display_name, ti.task_id),
            since=ti.start_date or datetime.now(UTC),
            url=ti.log_url,
            rpo_left=rpo_left(workspace, system, getattr(task, "source", None)),
            error=error,
            now=datetime.now(UTC),
        )


def what_failed(dag: str, task_id: str) -> str:
    """A DAG's name for people and the task's verb, such as ``Back up labdojo: daily (dump main-db)``."""
    verb, _, source = task_id.rpartition(".")[2].partition("__")
    return f"{dag} ({' '.join(filter(None, [verb.replace('_', ' '), source]))})"


def rpo_left(workspace: Workspace, system: str, source: str | None) -> timedelta | None:
    """Time until the newest recoverable point of a source, or of the worst source, is older than its RPO.

    :returns: negative when it is too old already; None when the catalog cannot say.
    """
    try:
        policy = workspace.system(system)
        names = [source] if source else [s.name for s in policy.sources]
        now = datetime.now(UTC)
        left = []
        for name in names:
            points = [
                backup.manifest.snapshot_at
                for backup in workspace.catalog().backups(system=system, source=name)
                if not backup.damaged
            ]
            if not points:
                return None
            left.append(policy.rpo(policy.source(name)) - (now - max(points)))
        return min(left, default=None)
    except LifeboatError:
        return None


def send_notice(workspace: Workspace, message: Message, log: Any) -> bool:
    """Tell people something from inside a task; a failure is logged and goes no further.

    :returns: whether it went out.
    """
    try:
        notice = SlackNotice()
        notice.send(workspace, message)
    except Exception as error:
        log.warning("no message reached Slack (%s: %s); the task goes on", type(error).__name__, error)
        return False
    return True
