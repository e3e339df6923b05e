"""The runbook of an incident, as a rehearsal runs it too.

    target.py           facts about a database that may be overwritten
    assess.py           what is reachable, which recovery points exist, what each would lose
    aim.py              a moment, an LSN or a recovery point out of what somebody typed
    physical_choice.py  the backup of the cluster that leads there, in one repository or the other
    physical_plan.py    to where its log is replayed, and what that keeps
    plan.py             the plan and its digest
    plan_words.py       its words for the approver, by method
    planning.py         policy, recovery points, facts and history make a plan
    approval.py         signed approvals, stored write-once beside the backups
    interlock.py        refuses every overwrite that no valid approval names
    methods/            how a source is recovered: from a dump, or from the cluster's backup and log
    safeguard.py        names of the safety copies
    folder.py           a run's folder in the store: plans, markers of done steps, the timeline
"""
