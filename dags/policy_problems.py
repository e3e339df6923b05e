"""
### Purpose
Shows every problem of every policy file together, as this file's import error in the web UI. It holds no DAG.

### What an error here means
The schedules of the systems whose files are named have **stopped**: their DAGs are not built until the files are right.
All other systems go on. What the systems promised when their policies were last valid is kept in the store.

### What to do
Each line names the file, the line, the dotted path, what was found and what is allowed. Correct them; the error goes
away, and the schedules come back, the next time Airflow reads the folder.
"""

from __future__ import annotations

from airflow.sdk import get_parsing_context

from include.recovery.errors import PolicyError
from include.recovery.policy.files import load_folder, policies_folder

# A worker reads this folder to run one task of one DAG; it must not stumble over another system's policy.
if get_parsing_context().dag_id is None:
    policies = load_folder(policies_folder())
    if policies.problems:
        raise PolicyError([policies.alarm, *policies.problems])
