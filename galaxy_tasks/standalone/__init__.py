"""One machine, one command: `python -m galaxy_tasks.standalone` runs the whole workflow here.

It starts an Airflow of its own inside the project (SQLite, LocalExecutor, loopback only), triggers
the DAG, shows its progress, and ends every process it started. Airflow is spoken to over its REST
API and never imported.
"""
