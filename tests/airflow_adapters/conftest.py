"""Catalogs in folders, as the inner ring's tests have them, for operators that need nothing but a store."""

from tests.recovery.conftest import escrow_key, folder_workspace, make_backup, make_cluster_backup, signer

__all__ = ["escrow_key", "folder_workspace", "make_backup", "make_cluster_backup", "signer"]
