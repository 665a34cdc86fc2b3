#!/usr/bin/env bash
# Prepares what all services share: folders, database, administrator's account, pool. Can be run again at
# any time. Runs as root only to set the owner of the folders.
set -euo pipefail

trainers=$(tr ',' '\n' <<<"${COMPOSE_PROFILES:-}" | grep -cxE 'gpu|cpu' || true)
if [[ $trainers != 1 ]]; then
  echo "COMPOSE_PROFILES is '${COMPOSE_PROFILES:-}': expected one of gpu and cpu in .env. With" \
    "neither, no worker serves the queue gpu; with both, two trainers would share its slots." >&2
  exit 1
fi

owner=$(id -u galaxy)
as_galaxy() { setpriv --reuid "$owner" --regid 0 --init-groups "$@"; }

# Files may belong to an earlier GALAXY_UID or come from a backup. Some disks let nobody change an
# owner (Docker Desktop's, NFS's); then it is enough that files can be written.
find /opt/airflow/logs /runs -ignore_readdir_race ! -user "$owner" -exec chown --no-dereference "$owner:0" {} + ||
  echo "The owner of some files could not be changed to $owner (GALAXY_UID in .env)." >&2
for folder in /opt/airflow/logs /runs; do
  as_galaxy test -w "$folder" || {
    echo "$folder cannot be written by user $owner (GALAXY_UID in .env), and init may not change its" \
      "owner. For /runs: give GALAXY_RUNS in .env a folder that this user can write, or set GALAXY_UID" \
      "to the owner of the present one." >&2
    exit 1
  }
done

export HOME=/home/galaxy
as_galaxy mkdir -p /runs/inbox
as_galaxy python /opt/galaxy/docker/prepare_airflow.py
