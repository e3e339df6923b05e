"""The lab: everything that Lifeboat protects and uses, on one machine, on loopback, from one command.

    setup.sh, launch             install what is missing; run a command as an unprivileged user in a copy of the tree
    check                        what ``make test`` runs
    __main__, demo, steps, runs  ``make demo`` and ``make demo-down``: what is done, in parallel, through Airflow's API
    lab, systems, credentials    one lab: its five systems and ports, its passwords and connections
    processes, guard, ports      start servers, and stop exactly those again
    tls                          a certificate authority of its own
    postgres, data_loader, data  PostgreSQL servers and what is in them
    ceph, buckets                S3 regions with their buckets and users
    aws, dns, slack_sink         key service, DNS zones and RDS by moto; bind9; Slack's end of a webhook
    web_app, traffic             the systems' applications, and those who use them
    airflow                      its four components, and a client of its REST API

Tests use the same modules on free ports (``tests/fixtures``).
"""
