"""The files of a simulated release, in the layout of the Galaxy Zoo challenge."""

import csv
import logging
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

from joblib import cpu_count

from galaxy_tasks import __version__
from galaxy_tasks.errors import InputError
from galaxy_tasks.formatting import format_duration
from galaxy_tasks.simulation.camera import encode_cutout, photograph
from galaxy_tasks.simulation.population import DIFFICULTY, Galaxy, draw_galaxy, random_generator
from galaxy_tasks.simulation.rendering import render_galaxy
from galaxy_tasks.simulation.surroundings import add_field
from galaxy_tasks.simulation.volunteers import VOTE_COLUMNS, cast_votes

_logger = logging.getLogger(__name__)

VOTES_FILE = "training_solutions_rev1.csv"
IMAGES_FOLDER = "images_training_rev1"
TRUTH_FILE = "truth.csv"
FIRST_ID = 9_000_000
"""Above the challenge's ids of six digits, so that no simulated galaxy has the id of a real one."""
IDS_OF_A_SEED = 1_000_000
"""Each seed has ids of its own: other galaxies are never taken for these."""
GALAXIES_IN_A_CHUNK = 16
PROGRESS_INTERVAL_S = 5.0
TRUTH_COLUMNS = tuple(field.name for field in fields(Galaxy))

README = """\
SIMULATED galaxies. Nothing in this folder was observed.

{num_galaxies} galaxies drawn by galaxy_tasks.simulation {version} with seed {seed}.

{votes_file}  vote fractions, made from what can be seen of each galaxy, as
    cumulative fractions in the format of the Galaxy Zoo challenge. No human voted.
{images_folder}/<GalaxyID>.jpg  424 × 424 cutouts, with a JPEG comment that says the same.
{truth_file}  the true morphology and the parameters that each galaxy was drawn with.

Population: {difficulty}
"""


@dataclass(frozen=True)
class Row:
    """A galaxy's line in the two tables."""

    galaxy_id: int
    votes: tuple[float, ...]
    truth: Galaxy


@dataclass(frozen=True)
class DrawnGalaxy(Row):
    """A galaxy, ready to be written."""

    jpeg: bytes


def draw_release(folder: Path, *, num_galaxies: int, seed: int, workers: int = 0) -> None:
    """Draw a simulated release into an existing folder.

    Writes the challenge's vote table and image folder, `truth.csv` and a `README.txt` that says
    that all of it is simulated. A larger release begins with the galaxies of a smaller one of the
    same seed, byte for byte, whatever the number of workers.

    Args:
        folder: where to write; files of the same names are replaced.
        num_galaxies: at least 1.
        seed: at least 0.
        workers: number of processes; 0 means one for each core.

    Raises:
        InputError: the folder does not exist, or a number is out of bounds.
    """
    _check(folder, num_galaxies=num_galaxies, seed=seed, workers=workers)
    (folder / IMAGES_FOLDER).mkdir(exist_ok=True)
    started = reported = time.monotonic()
    with (
        (folder / VOTES_FILE).open("w", newline="") as votes_file,
        (folder / TRUTH_FILE).open("w", newline="") as truth_file,
    ):
        votes = csv.writer(votes_file, lineterminator="\n")
        truth = csv.writer(truth_file, lineterminator="\n")
        votes.writerow(("GalaxyID", *VOTE_COLUMNS))
        truth.writerow(("GalaxyID", *TRUTH_COLUMNS))
        drawn_galaxies = _draw_all(folder, num_galaxies=num_galaxies, seed=seed, workers=workers)
        for done, drawn in enumerate(drawn_galaxies, start=1):
            votes.writerow((drawn.galaxy_id, *(f"{value:.9f}" for value in drawn.votes)))
            values = asdict(drawn.truth).values()
            truth.writerow(
                (drawn.galaxy_id, *(f"{v:.5g}" if isinstance(v, float) else v for v in values))
            )
            now = time.monotonic()
            if now - reported > PROGRESS_INTERVAL_S or done == num_galaxies:
                reported = now
                _report(done, num_galaxies=num_galaxies, elapsed_s=now - started)
    (folder / "README.txt").write_text(_describe_release(num_galaxies=num_galaxies, seed=seed))


def _describe_release(*, num_galaxies: int, seed: int) -> str:
    return README.format(
        num_galaxies=f"{num_galaxies:,}",
        version=__version__,
        seed=seed,
        votes_file=VOTES_FILE,
        images_folder=IMAGES_FOLDER,
        truth_file=TRUTH_FILE,
        difficulty=DIFFICULTY,
    )


def draw_one(*, seed: int, index: int) -> DrawnGalaxy:
    """Draw galaxy number `index`: image, votes and truth."""
    random = random_generator(seed=seed, index=index)
    galaxy = draw_galaxy(random)
    votes = cast_votes(galaxy, random=random)
    light = render_galaxy(galaxy, random=random)
    add_field(light, galaxy=galaxy, random=random)
    jpeg = encode_cutout(photograph(light, galaxy=galaxy, random=random))
    return DrawnGalaxy(FIRST_ID + seed * IDS_OF_A_SEED + index, tuple(votes.tolist()), galaxy, jpeg)


def _check(folder: Path, *, num_galaxies: int, seed: int, workers: int) -> None:
    if not folder.is_dir():
        raise InputError(
            f"The simulated release needs an existing folder to write into. Received: {folder}"
        )
    bounds = (("num_galaxies", num_galaxies, 1), ("seed", seed, 0), ("workers", workers, 0))
    for name, value, minimum in bounds:
        if value < minimum:
            raise InputError(f"{name} must be at least {minimum}. Received: {value}")


def _draw_all(folder: Path, *, num_galaxies: int, seed: int, workers: int) -> Iterator[Row]:
    """Yield the rows in order, while worker processes draw ahead and write the images."""
    chunks = [
        range(start, min(start + GALAXIES_IN_A_CHUNK, num_galaxies))
        for start in range(0, num_galaxies, GALAXIES_IN_A_CHUNK)
    ]
    draw_chunk = partial(_draw_chunk, images=folder / IMAGES_FOLDER, seed=seed)
    processes = min(workers or cpu_count(), len(chunks))
    if processes == 1:
        for rows in map(draw_chunk, chunks):
            yield from rows
        return
    # Spawned, not forked: a fork of a process that has started threads can hang.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_use_one_thread)
    try:
        for rows in pool.map(draw_chunk, chunks):
            yield from rows
    finally:
        pool.shutdown(cancel_futures=True)


def _draw_chunk(indices: range, *, images: Path, seed: int) -> list[Row]:
    rows = []
    for index in indices:
        drawn = draw_one(seed=seed, index=index)
        (images / f"{drawn.galaxy_id}.jpg").write_bytes(drawn.jpeg)
        rows.append(Row(drawn.galaxy_id, drawn.votes, drawn.truth))
    return rows


def _use_one_thread() -> None:
    import cv2

    cv2.setNumThreads(1)  # there is a process for each core already


def _report(done: int, *, num_galaxies: int, elapsed_s: float) -> None:
    speed = done / max(elapsed_s, 1e-9)
    left_s = (num_galaxies - done) / speed
    _logger.info(
        "Drew %s of %s galaxies, %.0f galaxies/s, %s left",
        f"{done:,}",
        f"{num_galaxies:,}",
        speed,
        format_duration(left_s),
    )
