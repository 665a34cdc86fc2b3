#!/usr/bin/env bash
# Four times a day, removes task logs that have not changed for LOG_RETENTION_DAYS.
set -euo pipefail

while true; do
  find /opt/airflow/logs -ignore_readdir_race -type f -mtime "+$LOG_RETENTION_DAYS" -print -delete
  find /opt/airflow/logs -ignore_readdir_race -mindepth 1 -type d -empty -mtime +1 -delete
  sleep 6h & # in the background, so that a signal ends the script at once
  wait $!
done
