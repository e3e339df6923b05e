"""Notifiers: how people hear of what a task found."""
