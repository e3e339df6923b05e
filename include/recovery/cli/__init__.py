"""``lifeboat``, the command line: the same code as the operators, for people and for the day without Airflow.

    app.py       the commands together, global options, errors as one sentence and an exit code
    desk.py      where commands find policies, stores, keys and databases
    output.py    tables, progress bars, JSON
    reading.py   list, show, status, evidence: look, change nothing
    proving.py   verify, compare
    working.py   backup, sweep, reopen
    protecting.py prepare, point, beat
    retention.py retention: what may go and what stays, and removing it
    restoring.py restore into a new place
    overwriting.py restore over what is live: plan, approval, interlock, swap
"""
