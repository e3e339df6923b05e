"""Airflow adapters: the middle ring. What recovery *is* lives in ``include.recovery``; here it meets Airflow.

    dag_defaults     owner, retries, pools, tags, schedules: the only default arguments
    trigger_form     the Params that people fill in
    task_groups      groups of tasks that several graphs share
    people           names of the policy to users of Airflow, and back
    hooks            WorkspaceHook: Airflow's connections as an ``include.recovery.workspace.Workspace``
    operators        one thin story each; the logic is in ``include.recovery``
    notifications    Slack alerts; an outage of Slack never fails a task

Always imported as ``recovery_airflow.<...>``. The plugin loader does not execute this folder (``.airflowignore``).
"""
