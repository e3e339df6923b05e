# Lifeboat's workers and Airflow's own services run from this one image.
#
#   docker build --build-arg POSTGRES_MAJORS="15 16 17 18" -t lifeboat:local .
#
# The whole PostgreSQL server is installed, not only its clients: a drill starts a scratch server of the source's major
# version in the worker, reachable only through its unix socket. pgBackRest restores whole clusters in the same place;
# where a database's host runs a worker of its own, it backs up there too. Redis backups are measured on a Redis of the
# worker's own; copies of MongoDB backups run on mongod, which has a repository of its own: add mongodb-org-server where a
# policy names a MongoDB source. Copies of a Vault run on its own program: add bao or vault where a policy gives unseal
# keys.
FROM apache/airflow:3.3.2-python3.11

ARG POSTGRES_MAJORS="15 16 17 18"

USER root
RUN apt-get update \
    && apt-get install -y --no-install-recommends git iproute2 openssh-client postgresql-common prometheus util-linux zstd \
    && sed -i 's/^#\?create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf \
    && /usr/share/postgresql-common/pgdg/apt.postgresql.org.sh -y \
    && apt-get install -y --no-install-recommends pgbackrest redis-server \
    && for major in ${POSTGRES_MAJORS}; do apt-get install -y --no-install-recommends "postgresql-${major}"; done \
    && rm -rf /var/lib/apt/lists/* \
    && printf '#!/bin/sh\nexec python -m include.recovery.cli "$@"\n' > /usr/local/bin/lifeboat \
    && chmod 755 /usr/local/bin/lifeboat

USER airflow
COPY --chown=airflow:root pyproject.toml requirements.txt /tmp/lifeboat/
# What pyproject.toml asks for at run time, in the versions of requirements.txt; the test tools stay out.
RUN uv pip install --no-cache --constraint /tmp/lifeboat/requirements.txt --requirement /tmp/lifeboat/pyproject.toml

COPY --chown=airflow:root dags /opt/lifeboat/dags
COPY --chown=airflow:root plugins /opt/lifeboat/plugins
COPY --chown=airflow:root include /opt/lifeboat/include
ENV PYTHONPATH=/opt/lifeboat:/opt/lifeboat/plugins \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/lifeboat/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/lifeboat/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=false \
    LIFEBOAT_POLICIES=/opt/lifeboat/include/policies
