"""The lab: everything that Lifeboat protects and uses, on one machine, on loopback, from one command.

    processes, guard, ports      start servers, and stop exactly those again
    tls                          a certificate authority of its own
    postgres, ceph, buckets      PostgreSQL servers; S3 regions with their buckets and users
    aws, slack_sink              key service, DNS zones and RDS by moto; Slack's end of a webhook

Tests use the same modules on free ports (``tests/fixtures``).
"""
