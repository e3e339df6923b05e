"""The runbook of an incident, as a rehearsal runs it too.

    target.py      facts about a database that may be overwritten
    assess.py      what is reachable, which recovery points exist, what each would lose
    plan.py        the plan, its digest, and its words for the approver
    planning.py    policy, recovery points, facts and history make a plan
    approval.py    signed approvals, stored write-once beside the backups
    interlock.py   refuses every overwrite that no valid approval names
    safeguard.py   names of the safety copies
    folder.py      a run's folder in the store: plans, markers of done steps, the timeline
"""
