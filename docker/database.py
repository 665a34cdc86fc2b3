"""Asks Airflow's database, without importing Airflow, whose start costs seconds."""

import os
from typing import Any

import psycopg2


def ask(query: str, **values: Any) -> list[tuple]:
    """Return the rows of a query with values named as %(name)s."""
    address = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "", 1)
    connection = psycopg2.connect(address, connect_timeout=10)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchall()
    finally:
        connection.close()
