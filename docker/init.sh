#!/usr/bin/env bash
# Prepares what all services share, and can be run again at any time: folders, the database, the
# first account, the pool. Runs as root for the folders' owner alone.
set -euo pipefail

trainers=$(tr ',' '\n' <<<"${COMPOSE_PROFILES:-}" | grep -cxE 'gpu|cpu' || true)
if [[ $trainers != 1 ]]; then
  echo "COMPOSE_PROFILES is '${COMPOSE_PROFILES:-}': expected one of gpu and cpu in .env. With" \
    "neither, nobody would serve the queue gpu; with both, two trainers would share its slots." >&2
  exit 1
fi

owner=$(id -u galaxy)
# Of an earlier owner, or of a restored backup.
find /opt/airflow/logs /runs -ignore_readdir_race ! -user "$owner" -exec chown --no-dereference "$owner:0" {} +

as_galaxy() { setpriv --reuid "$owner" --regid 0 --init-groups "$@"; }

export HOME=/home/galaxy
as_galaxy mkdir -p /runs/announced
as_galaxy airflow db migrate
# The password goes through a pipe, as arguments can be read by every user of the machine.
export PYTHONWARNINGS=ignore::getpass.GetPassWarning
give_password() { printf '%s\n%s\n' "$ADMIN_PASSWORD" "$ADMIN_PASSWORD"; }
give_password | as_galaxy airflow users create --role Admin --username "$ADMIN_USER" \
  --firstname Galaxy --lastname Admin --email "$ADMIN_USER@localhost"
# The account may be of an earlier start: what .env says holds.
give_password | as_galaxy airflow users reset-password --username "$ADMIN_USER"
as_galaxy airflow pools set gpu "$GPU_SLOTS" "Trainings at once: the trainer's slots"
