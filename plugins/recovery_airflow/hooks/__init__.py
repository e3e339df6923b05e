"""Hooks: how a task gets at what Airflow knows."""
