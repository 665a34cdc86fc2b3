"""Releases as published for the tests: folders with galaxies of known class."""

from pathlib import Path

import pandas as pd
import pytest
from release_headers import HEADERS

from galaxy_tasks.config import RunConfig
from galaxy_tasks.releases import RELEASES
from galaxy_tasks.releases.rules import Release, VoteScheme

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "catalogues"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason=f"needs the real data in {SHARED}")
CLASSES = (
    "completely_round_smooth",
    "in_between_smooth",
    "cigar_shaped_smooth",
    "edge_on",
    "spiral",
)


PUBLISHED = [name for name in RELEASES if name not in ("simulated", "class_table")]
FIVE_CLASSES = [name for name in PUBLISHED if name != "galaxy_zoo_1"]


def vote_fractions(release: Release, label: str) -> dict[str, float | int]:
    """Return votes with which a galaxy surely has the class: 1 along its branch, 40 volunteers."""
    scheme = release.schemes["clean5"]
    assert isinstance(scheme, VoteScheme)
    (rule,) = (rule for rule in scheme.rules if rule.morphology == label)
    votes = {criterion.column: 1.0 for criterion in rule.criteria}
    # Of the columns that count a question one gets all the volunteers, the others none.
    return votes | {
        criterion.vote_columns[0]: 40 for criterion in rule.criteria if criterion.vote_columns
    }


def find_spelling(release: Release, header: list[str], column: str) -> str:
    names = (column, *release.aliases.get(column, ()))
    return next(name for name in names if name in header)


def write_catalogue(path: Path, header: list[str], rows: list[dict[str, object]]) -> None:
    table = pd.DataFrame(rows, columns=pd.Index(header))
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    else:
        table.to_csv(path, index=False)  # gzipped where the name says so


def build_source(
    folder: Path, name: str, *, galaxies: int, table: str = "", blank: object = 0
) -> RunConfig:
    """Write a release's folder: galaxies of each class in turn, and their images.

    The catalogue has the first name that the release looks for, or that of `table`.
    """
    release, header = RELEASES[name], HEADERS[name]
    images = folder / release.images_folders[0]
    images.mkdir(parents=True)
    scheme = release.schemes["clean5"]
    assert isinstance(scheme, VoteScheme)
    read = (*scheme.fraction_columns, *scheme.vote_columns)
    labels = [rule.morphology.value for rule in scheme.rules]
    rows = []
    for number in range(galaxies):
        votes = vote_fractions(release, labels[number % len(labels)])
        # A blank is written only where the release may leave one.
        votes = {c: blank if c in scheme.blank_columns else 0 for c in read} | votes
        row = {find_spelling(release, header, column): value for column, value in votes.items()}
        row |= {release.id_columns[0]: name_galaxy(name, number), "tile_index": 102}
        rows.append({column: value for column, value in row.items() if column in header})
        (images / f"{name_image(name, number)}.jpg").write_bytes(b"x")
    write_catalogue(folder / (table or release.catalogue_names[0]), header, rows)
    if name.startswith("galaxy_zoo_2"):
        lines = [f"{name_galaxy(name, n)},original,{n}" for n in range(galaxies)]
        (folder / "gz2_filename_mapping.csv").write_text(
            "\n".join(["objid,sample,asset_id", *lines])
        )
    return RunConfig(release=name, source=str(folder), catalogue_file=table)


def name_galaxy(release: str, number: int) -> str:
    patterns = {
        "galaxy_zoo_hubble": "AHZ{:07d}",
        "galaxy_zoo_candels": "COS_{}",
        "galaxy_zoo_decals": "J{:06d}.88-000427.4",
        "galaxy_zoo_desi": "303240_{}",
        "galaxy_zoo_euclid": "-{}",
    }
    return patterns.get(release, "587722981741363{:03d}").format(number)


def name_image(release: str, number: int) -> str:
    if release.startswith("galaxy_zoo_2"):
        return str(number)
    # Of the two names that the release's description has for an image, each in turn.
    euclid = f"102_NEG{number}{'_' * (number % 2)}"
    return euclid if release == "galaxy_zoo_euclid" else name_galaxy(release, number)
