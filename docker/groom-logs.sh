#!/usr/bin/env bash
# Removes the logs of tasks that nothing has been written to for LOG_RETENTION_DAYS, four times a day.
set -euo pipefail

while true; do
  find /opt/airflow/logs -ignore_readdir_race -type f -mtime "+$LOG_RETENTION_DAYS" -print -delete
  find /opt/airflow/logs -ignore_readdir_race -mindepth 1 -type d -empty -mtime +1 -delete
  sleep 6h & # in the background, so that a signal ends this at once
  wait $!
done
