"""Queries Airflow's database without importing Airflow, which takes seconds."""

import os
from typing import Any

import psycopg2


def ask(query: str, **values: Any) -> list[tuple]:
    """Return the rows of a query; its parameters are written as %(name)s."""
    address = os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "", 1)
    connection = psycopg2.connect(address, connect_timeout=10)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(query, values)
            return cursor.fetchall()
    finally:
        connection.close()
