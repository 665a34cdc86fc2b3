"""How a release's catalogue is read: by which scheme, and which of its columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from galaxy_tasks.acquisition.tables import Table, advise, match_columns, read_table_header
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.releases import RELEASES
from galaxy_tasks.releases.ballots import Ballot
from galaxy_tasks.releases.schema import GivenScheme, ImageKey, Release, Scheme, VoteScheme

ID, RA, DEC = "galaxy_id", "ra", "dec"
"""How a plan names the columns that every release has, whatever the release calls them."""


@dataclass(frozen=True, kw_only=True)
class CataloguePlan:
    """How a catalogue is read."""

    release: Release
    scheme: Scheme
    table: Table
    columns: dict[str, str]
    """The catalogue's own name of each column that is read: galaxy_id, ra and dec (if it has
    positions) and those of the scheme and the ballot."""
    ballot: Ballot | None = None
    """How many volunteers gave each answer; None where nobody asks for it."""

    @property
    def numbers(self) -> frozenset[str]:
        """The columns that hold numbers."""
        texts = {ID} if isinstance(self.scheme, VoteScheme) else {ID, self.scheme.column}
        return frozenset(self.columns) - texts


def adapt_release(config: RunConfig) -> Release:
    """Return the release with the column names and patterns of the settings.

    Raises:
        InputError: the image name pattern does not hold '{id}' once.
    """
    release = RELEASES[config.release]
    pattern = config.image_name_pattern or release.image_name_pattern
    if pattern and pattern.count("{id}") != 1:
        raise InputError(
            "'image_name_pattern' must hold '{id}' once, like '{id}.jpg'. "
            f"Received: {pattern!r}"
        )
    schemes = dict(release.schemes)
    if config.class_column and "as_given" in schemes:
        schemes["as_given"] = GivenScheme(column=config.class_column)
    id_columns = (config.id_column,) if config.id_column else release.id_columns
    return replace(release, image_name_pattern=pattern, schemes=schemes, id_columns=id_columns)


def choose_scheme(config: RunConfig, release: Release) -> Scheme:
    """Return the scheme of the settings; a table of classes has only its own.

    Raises:
        InputError: the release does not have this scheme.
    """
    if "as_given" in release.schemes:
        return release.schemes["as_given"]
    if config.scheme not in release.schemes:
        raise InputError(
            f"Release {release.name!r} has no scheme {config.scheme!r}. "
            f"Set 'scheme' to one of: {', '.join(release.schemes)}"
        )
    return release.schemes[config.scheme]


def plan_catalogue(config: RunConfig, catalogue: Path) -> CataloguePlan:
    """Return how to read the catalogue with these settings; see `match_catalogue`."""
    release = adapt_release(config)
    return match_catalogue(
        release,
        choose_scheme(config, release),
        catalogue,
        minimum_votes=config.required_votes,
        ra_column=config.ra_column,
        dec_column=config.dec_column,
        ballot=_choose_ballot(config, release, catalogue),
    )


def _choose_ballot(config: RunConfig, release: Release, catalogue: Path) -> Ballot | None:
    """Return the first of the release's ballots that the table has the columns of.

    Where it has those of none, the last is returned, so that the error names what is missing.
    """
    if config.target == "classes":
        return None
    table = read_table_header(catalogue)
    whole = [
        ballot
        for ballot in release.ballots
        if all(table.find((name, *release.aliases.get(name, ()))) for name in ballot.columns)
    ]
    return (*whole, release.ballots[-1])[0]


def match_catalogue(
    release: Release,
    scheme: Scheme,
    catalogue: Path,
    *,
    minimum_votes: int = 1,
    ra_column: str = "",
    dec_column: str = "",
    ballot: Ballot | None = None,
) -> CataloguePlan:
    """Return how to read a catalogue for one of a release's schemes.

    Args:
        release: names the columns.
        scheme: says which of them are read.
        catalogue: the table.
        minimum_votes: above 0, the columns that count votes are read as well.
        ra_column: column that must hold right ascension, if not the release's own.
        dec_column: the same for declination.
        ballot: says which columns count the volunteers of each answer.

    Raises:
        InputError: a column is missing, or the id's column cannot hold ids exactly.
    """
    table, given = read_table_header(catalogue), {RA: ra_column, DEC: dec_column}
    own = scheme_columns(scheme, minimum_votes=minimum_votes)
    wanted = _list_wanted(release, [*own, *(ballot.columns if ballot else ())], given)
    try:
        columns = match_columns(table, wanted, optional=[n for n in given if not given[n]])
    except InputError as error:
        raise InputError(f"{error}. {advise(release, table)}") from None
    if columns[ID] in table.floating_columns:
        raise InputError(
            f"Column {columns[ID]!r} of {catalogue} holds floating-point numbers, which cannot "
            "represent ids of 18 digits exactly. Store the ids as whole numbers or text."
        )
    return CataloguePlan(
        release=release, scheme=scheme, table=table, columns=columns, ballot=ballot
    )


def _list_wanted(
    release: Release, columns: Sequence[str], given: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """Return the names to look for, by the plan's name of a column."""
    wanted = {ID: release.id_columns}
    for position, own in ((RA, release.ra_column), (DEC, release.dec_column)):
        known = (own, *release.aliases.get(own, ()))
        wanted[position] = (given[position],) if given[position] else known
    for column in columns:
        wanted[column] = (column, *release.aliases.get(column, ()))
    return wanted


def scheme_columns(scheme: Scheme, *, minimum_votes: int) -> tuple[str, ...]:
    """Return the columns that a scheme reads; vote counts only if a minimum is set."""
    if isinstance(scheme, VoteScheme):
        counts = scheme.vote_columns if minimum_votes > 0 else ()
        return (*scheme.fraction_columns, *counts)
    return (scheme.column,)


def require_image_names(release: Release, path: Path) -> None:
    """Raise InputError unless a table has the columns that lead from an id to an image's name."""
    mapping = release.mapping
    if mapping is None:
        return
    is_key = isinstance(mapping, ImageKey)
    names = mapping.columns if is_key else (mapping.id_column, mapping.image_column)
    match_columns(read_table_header(path), {name: (name,) for name in names})
