"""The settings of scratch servers: quick ones, and none with which a physical copy reaches beyond its folder."""

from __future__ import annotations

import os
from pathlib import Path

from include.recovery.postgres import commands
from include.recovery.postgres.tools import Tools
from include.recovery.processes import run_tool

PORT = 5432
COMMON = {
    "listen_addresses": "''", "port": str(PORT), "unix_socket_permissions": "0700", "max_connections": "50",
    "logging_collector": "off", "track_commit_timestamp": "on",
}
ALONE = {
    # A physical copy has the original's settings and believes that it is the original.
    "listen_addresses": "", "unix_socket_permissions": "0700", "archive_mode": "off", "ssl": "off",
    "logging_collector": "off", "log_destination": "stderr", "primary_conninfo": "", "primary_slot_name": "",
    "synchronous_standby_names": "", "recovery_min_apply_delay": "0", "max_logical_replication_workers": "0",
    "hot_standby": "off", "shared_preload_libraries": "", "huge_pages": "try",
}
FAST = {
    "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "autovacuum": "off",
    "max_wal_size": "16GB", "checkpoint_timeout": "1h", "maintenance_work_mem": "256MB",
}
_CONTROLLED = {
    "max_connections setting": "max_connections", "max_worker_processes setting": "max_worker_processes",
    "max_wal_senders setting": "max_wal_senders", "max_prepared_xacts setting": "max_prepared_transactions",
    "max_locks_per_xact setting": "max_locks_per_transaction",
    "track_commit_timestamp setting": "track_commit_timestamp",
}
DRILL = {
    # Built for speed: after a crash this server is thrown away, never recovered.
    "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "wal_level": "minimal",
    "max_wal_senders": "0", "max_wal_size": "16GB", "checkpoint_timeout": "1h", "autovacuum": "off",
    "wal_buffers": "64MB", "maintenance_work_mem": "512MB",
}


def needed_by_recovery(tools: Tools, data: Path, env: dict[str, str]) -> dict[str, str]:
    """The sizes that recovery needs at least, as the original had them."""
    said = run_tool(commands.control_data(tools, str(data)), env=env).decode()
    lines = dict(line.split(":", 1) for line in said.splitlines() if ":" in line)
    return {name: lines[key].strip() for key, name in _CONTROLLED.items() if key in lines}


def shared_buffers() -> str:
    """A gigabyte, or an eighth of a small machine's memory."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return f"{max(64, min(1024, memory // 8 // 1024**2))}MB"


def lz4(tools: Tools, env: dict[str, str]) -> dict[str, str]:
    """lz4 for long values, where this server was built with it: a fifth less work than pglz."""
    if not tools.has("pg_config"):
        return {}
    built = run_tool([tools.path("pg_config"), "--configure"], env=env).decode()
    return {"default_toast_compression": "lz4"} if "--with-lz4" in built and tools.major >= 14 else {}
