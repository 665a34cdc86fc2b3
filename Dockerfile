# The control plane, Spark, and a trainer without a GPU, from one set of locked packages.
# Targets: `airflow` (the default, without TensorFlow), `trainer`, and `mlflow`, the registry's server.
ARG BASE_IMAGE=python:3.12-slim-bookworm

FROM ${BASE_IMAGE} AS mlflow
ARG UID=50000
RUN { ! owner=$(id -nu "$UID" 2>/dev/null) || userdel --remove "$owner"; } \
    && useradd --no-log-init --uid "$UID" --gid 0 --create-home --shell /bin/bash galaxy \
    && install -d -o galaxy -g 0 -m 0775 /runs
ENV VIRTUAL_ENV=/opt/venv \
    PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    LC_ALL=C.UTF-8 \
    MLFLOW_DISABLE_TELEMETRY=true \
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
    GALAXY_ROLE=mlflow
COPY --chmod=0755 docker/install.sh scripts/lib/uv_settings.py /opt/galaxy/
COPY requirements/installer.lock requirements/mlflow.lock /opt/galaxy/requirements/
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=cache,target=/root/.cache/uv \
    /opt/galaxy/install.sh /opt/galaxy/requirements/mlflow.lock
COPY docker/healthcheck.py /opt/galaxy/docker/
USER galaxy
WORKDIR /home/galaxy
HEALTHCHECK --interval=15s --timeout=20s --start-period=120s --retries=4 \
    CMD ["python", "/opt/galaxy/docker/healthcheck.py"]
CMD ["mlflow", "server", "--host", "0.0.0.0", "--port", "5000", "--workers", "1", \
    "--backend-store-uri", "sqlite:////runs/mlflow.db", "--artifacts-destination", "/runs/mlflow"]

FROM ${BASE_IMAGE} AS dependencies
ARG UID=50000
# Some base images have a user 1000, which is also the first user of many machines.
RUN apt-get update -qq \
    && mkdir -p /usr/share/man/man1 \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        default-jre-headless \
    && rm -rf /var/lib/apt/lists/* \
    && { ! owner=$(id -nu "$UID" 2>/dev/null) || userdel --remove "$owner"; } \
    && useradd --no-log-init --uid "$UID" --gid 0 --create-home --shell /bin/bash galaxy \
    && install -d -o galaxy -g 0 -m 0775 \
        /opt/airflow /opt/airflow/dags /opt/airflow/logs /opt/spark /data /runs
ENV VIRTUAL_ENV=/opt/venv \
    PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONUTF8=1 \
    LC_ALL=C.UTF-8 \
    AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/airflow/dags \
    AIRFLOW__CORE__LOAD_EXAMPLES=false \
    GALAXY_HOME=/runs \
    SPARK_WORKER_DIR=/opt/spark
COPY --chmod=0755 docker/install.sh scripts/lib/uv_settings.py /opt/galaxy/
COPY requirements/installer.lock requirements/cluster.lock /opt/galaxy/requirements/
# Networks that need their own certificate or pip configuration pass them as build secrets.
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=cache,target=/root/.cache/uv \
    /opt/galaxy/install.sh /opt/galaxy/requirements/cluster.lock

FROM dependencies AS trainer-dependencies
COPY requirements/cpu.lock /opt/galaxy/requirements/
RUN --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=cache,target=/root/.cache/uv \
    /opt/galaxy/install.sh /opt/galaxy/requirements/cpu.lock

# Files that change with every commit come last, so that the layers above stay cached.
FROM trainer-dependencies AS trainer
COPY --chmod=0755 docker/*.py docker/*.sh /opt/galaxy/docker/
COPY pyproject.toml README.md LICENSE /opt/galaxy/source/
COPY galaxy_tasks/ /opt/galaxy/source/galaxy_tasks/
RUN pip install --quiet --no-cache-dir --no-deps --no-build-isolation /opt/galaxy/source
ARG GALAXY_COMMIT=
ENV GALAXY_COMMIT=$GALAXY_COMMIT GALAXY_ROLE=trainer
USER galaxy
WORKDIR /opt/airflow
HEALTHCHECK --interval=15s --timeout=20s --start-period=240s --retries=4 \
    CMD ["python", "/opt/galaxy/docker/healthcheck.py"]
CMD ["airflow", "celery", "worker", "--queues", "gpu"]

FROM dependencies AS airflow
COPY --chmod=0755 docker/*.py docker/*.sh /opt/galaxy/docker/
COPY pyproject.toml README.md LICENSE /opt/galaxy/source/
COPY galaxy_tasks/ /opt/galaxy/source/galaxy_tasks/
RUN pip install --quiet --no-cache-dir --no-deps --no-build-isolation /opt/galaxy/source
ARG GALAXY_COMMIT=
ENV GALAXY_COMMIT=$GALAXY_COMMIT
USER galaxy
WORKDIR /opt/airflow
HEALTHCHECK --interval=15s --timeout=20s --start-period=240s --retries=4 \
    CMD ["python", "/opt/galaxy/docker/healthcheck.py"]
CMD ["airflow", "version"]
