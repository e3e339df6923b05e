"""Operators, one module for each subject.

step                 the base: one step of a graph, what it is told and what it leaves behind
logical_backup       PrecheckOperator, PgDumpOperator, AnnounceBackupsOperator
logical_restore      PickBackupOperator, PgRestoreOperator
recovery_point       RecoveryPointOperator
physical_backup      PgBackRestBackupOperator, PgBackRestCheckOperator, PgBackRestRestoreOperator
archive              ReplayProofOperator, WalArchiveCheckOperator: the WAL archive, replayed and looked through
watchdog             WatchSystemsOperator: what no failed task can tell, in all systems
verification         StoredPartsCheckOperator, ChecksumCompareOperator, ValidationQueriesOperator
content              sources that are backed up item by item: back up, restore to a copy, compare, ask, discard
rds_snapshot         databases on Amazon RDS: name, make, copy and enter a snapshot; restore, ask, discard in a drill
recovery_set         BindSetOperator: which recovery points of a system belong together
offsite_copy         FindMissingCopiesOperator, S3ReplicateOperator
recovery_point       RecoveryPointOperator: a moment with a fingerprint, to which a restore can be compared
retention            PlanRetentionOperator, ExpireBackupsOperator
scratch_server       ScratchServerStartOperator, ScratchRoomOperator, ScratchServerStopOperator
physical_drill       the drill of a cluster: check the archive, pick, recover, compare, query, check pages, heartbeat
physical_drill_report  PhysicalDrillReportOperator
runbook_step         what the steps of a runbook share: the plan, the target, the interlock
runbook_steps        declare, assess, stage, isolate
runbook_restore      provision, restore and verify beside the live database
runbook_swap         safeguard, swap in, reopen, log in
runbook_cluster      what those steps do when a whole cluster is replaced
policy_approval      PolicyApproval: a person of the policy's role says yes, and signs
run_recovery         RunRecoveryOperator: the button starts a system's runbook, or joins the one that runs
reports              DrillReportOperator, RunbookReportOperator
verdict              VerdictOperator: the last task of every graph; it raises when anything failed or is missing
"""
