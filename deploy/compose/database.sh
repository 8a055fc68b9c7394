#!/bin/sh
# A half of a shard. Without arguments: Patroni. `make URL`: what Patroni calls once, when a shard's first half is new.
set -eu
if [ "${1:-}" = make ]; then
    psql -X -v ON_ERROR_STOP=1 -v password="$TOLLGATE_DATABASE_PASSWORD" "$2" <<'SQL'
CREATE ROLE tollgate LOGIN PASSWORD :'password';
CREATE DATABASE tollgate OWNER tollgate;
SQL
    exit
fi
programs=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
host=$(hostname)
export PATRONI_NAME="$host" PATRONI_POSTGRESQL_BIN_DIR="$programs"
export PATRONI_RESTAPI_LISTEN=0.0.0.0:8008 PATRONI_RESTAPI_CONNECT_ADDRESS="$host:8008"
export PATRONI_POSTGRESQL_LISTEN=0.0.0.0:5432 PATRONI_POSTGRESQL_CONNECT_ADDRESS="$host:5432"
export PATRONI_SUPERUSER_USERNAME=postgres PATRONI_SUPERUSER_PASSWORD="$TOLLGATE_DATABASE_PASSWORD"
export PATRONI_REPLICATION_USERNAME=replicator PATRONI_REPLICATION_PASSWORD="$TOLLGATE_DATABASE_PASSWORD"
export PATRONI_REWIND_USERNAME=rewinder PATRONI_REWIND_PASSWORD="$TOLLGATE_DATABASE_PASSWORD"
exec patroni /etc/tollgate/patroni.yml
