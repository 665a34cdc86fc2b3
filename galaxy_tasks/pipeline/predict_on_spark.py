"""A Spark application that predicts a catalogue's shards on a cluster's executors.

The driver lists the images, has executors predict shards, and puts the catalogue together; see
`predict_catalogue`. Executors find listing, images and model by their paths, on disks that all
machines share, and write each shard's table themselves, so that Spark carries nothing but numbers
of shards. Each of Spark's Python processes holds one network, on one thread. A shard that is tried
again, for whatever reason, is written again, the same.

    spark-submit predict_on_spark.py --request JSON --result FILE
"""

import argparse
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from galaxy_tasks.errors import InputError, ResourceError
from galaxy_tasks.images.progress import ImageProgress
from galaxy_tasks.labels.spark_io import start_session
from galaxy_tasks.logs import set_up_logging
from galaxy_tasks.pipeline.catalogue_plan import CataloguePlan, CatalogueRequest
from galaxy_tasks.pipeline.predict_catalogue import predict_catalogue
from galaxy_tasks.pipeline.process import write_result
from galaxy_tasks.prediction import shards
from galaxy_tasks.prediction.classify import cut_into_batches
from galaxy_tasks.prediction.engines import RunNetwork, Way
from galaxy_tasks.prediction.listing import Shard, read_listing
from galaxy_tasks.prediction.shards import ShardRecord
from galaxy_tasks.prediction.workers import Job, Outcome, open_alone, open_worker
from galaxy_tasks.storage.artifacts import sha256_of

_POLL_INTERVAL_S = 2.0
_logger = logging.getLogger(__name__)


def predict_on_spark(request: Mapping[str, Any], *, master: str = "") -> dict[str, Any]:
    """Write a catalogue, whose request is JSON, with a Spark; return its counts.

    Args:
        request: see `CatalogueRequest`; the engine must be none that needs Keras.
        master: of the cluster; empty: spark-submit's own, else this machine.

    Raises:
        InputError, ResourceError: see `predict_catalogue`; or the cluster's job failed.
    """
    spark = start_session("predict_catalogue", master=master)
    try:
        return predict_catalogue(CatalogueRequest.from_json(request), partial(_run, spark))
    finally:
        spark.stop()


def _run(
    spark: Any,
    missing: Sequence[Shard],
    plan: CataloguePlan,
    job: Job,
    work: Path,
    progress: ImageProgress,
) -> Iterator[ShardRecord]:
    """Predict shards on the cluster, and yield their records; see `RunShards`."""
    if job.way.engine == "keras":
        raise InputError(
            "On a Spark cluster a network runs without Keras. The lines above say why this one "
            "cannot; --engine onnxruntime asks for another program."
        )
    keys = {shard.number: plan.key_of(shard) for shard in missing}
    watcher = _Watcher(work, missing, progress)
    try:
        _submit(spark, missing, work=work, job=job, keys=keys)
    finally:
        watcher.stop()
    for shard in missing:
        key = keys[shard.number]
        if not (found := shards.find_finished(work, shard, job.sources, made_from=key)):
            raise ResourceError(
                f"Shard {shard.number} is not there, or is another, though Spark has made it. Do "
                f"all of the cluster's machines share {work} and the images?"
            )
        yield found


def _submit(
    spark: Any, missing: Sequence[Shard], *, work: Path, job: Job, keys: Mapping[int, str]
) -> None:
    """Have executors write shards; return when all are written."""
    from pyspark.errors import PySparkException

    described = [json.dumps(asdict(shard), default=str) for shard in missing]
    table = spark.createDataFrame(pa.table({"shard": described})).repartition(len(missing))
    written = table.mapInArrow(_make_task(work, job, keys), "number int")
    try:
        count = sum(written.toPandas()["number"] >= 0)
    except PySparkException as error:
        raise ResourceError(
            f"Spark could not predict the shards: {error}. What is finished is kept; run again to "
            "continue."
        ) from error
    assert count == len(missing)


def _make_task(
    work: Path, job: Job, keys: Mapping[int, str]
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return what an executor does with some shards: writes each, and yields its number."""

    def predict(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for text in batch.column("shard").to_pylist():
                described = json.loads(text)
                shard = Shard(**{**described, "listing": Path(described["listing"])})
                write_one(shard, work=work, job=job, key=keys[shard.number])
                yield pa.RecordBatch.from_pydict({"number": pa.array([shard.number], pa.int32())})

    return predict


def write_one(shard: Shard, *, work: Path, job: Job, key: str) -> ShardRecord:
    """Predict a shard in this process and write it."""
    worker = open_worker(job, _open_once(job))
    rows = read_listing(shard)
    stamp = shards.stamp_images(rows, job.sources)
    outcomes: list[Outcome] = [worker(batch) for batch in cut_into_batches(rows)]
    named = {"classes": job.classes, "answers": job.answers}
    return shards.write_shard(work, shard, rows, outcomes, made_from=key, images=stamp, **named)


_opened: tuple[str, Way, RunNetwork] | None = None


def _open_once(job: Job) -> RunNetwork:
    """Return the network of this process, which Spark uses for one shard after the other."""
    global _opened
    if _opened is None or _opened[:2] != (job.network_sha256, job.way):
        received = sha256_of(job.network)
        if received != job.network_sha256:
            raise InputError(
                f"{job.network} is another on this machine. Expected the SHA-256 "
                f"{job.network_sha256}. Received: {received}"
            )
        _opened = job.network_sha256, job.way, open_alone(job)
    return _opened[2]


class _Watcher:
    """Logs how many images are done, by the shards that appear."""

    def __init__(self, work: Path, missing: Sequence[Shard], progress: ImageProgress) -> None:
        self._work, self._progress = work, progress
        self._pending = {one.number: one for one in missing if not shards.was_begun(work, one)}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the watch."""
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(_POLL_INTERVAL_S):
            self._count()
        self._count()

    def _count(self) -> None:
        done = [shard for shard in self._pending.values() if shards.was_begun(self._work, shard)]
        for shard in done:
            del self._pending[shard.number]
        self._progress.add(sum(shard.num_rows for shard in done))


def main(arguments: list[str] | None = None) -> None:
    """Run the application; see the module's docstring for its arguments."""
    parser = argparse.ArgumentParser(description="Predict a catalogue with Spark.")
    parser.add_argument("--request", required=True, type=json.loads, help="CatalogueRequest")
    parser.add_argument("--result", required=True, type=Path, help="file for the counts")
    options = parser.parse_args(arguments)
    set_up_logging()
    write_result(options.result, lambda: predict_on_spark(options.request))


if __name__ == "__main__":
    # See `clean_labels`, which is started alike.
    here = Path(__file__).resolve().parent
    sys.path[:] = [folder for folder in sys.path if Path(folder).resolve() != here]
    main()
