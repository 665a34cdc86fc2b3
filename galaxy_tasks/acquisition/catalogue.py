"""How a release's catalogue is read: by which scheme, and which of its columns."""

from dataclasses import dataclass, replace
from pathlib import Path

from galaxy_tasks.acquisition.tables import Table, advise, match_columns, read_table_header
from galaxy_tasks.config import RunConfig
from galaxy_tasks.errors import InputError
from galaxy_tasks.releases import RELEASES
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
    positions) and those of the scheme."""

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
        minimum_votes=config.minimum_votes,
        ra_column=config.ra_column,
        dec_column=config.dec_column,
    )


def match_catalogue(
    release: Release,
    scheme: Scheme,
    catalogue: Path,
    *,
    minimum_votes: int = 1,
    ra_column: str = "",
    dec_column: str = "",
) -> CataloguePlan:
    """Return how to read a catalogue for one of a release's schemes.

    Args:
        release: names the columns.
        scheme: says which of them are read.
        catalogue: the table.
        minimum_votes: above 0, the columns that count votes are read as well.
        ra_column: column that must hold right ascension, if not the release's own.
        dec_column: the same for declination.

    Raises:
        InputError: a column is missing, or the id's column cannot hold ids exactly.
    """
    table = read_table_header(catalogue)
    wanted = {ID: release.id_columns}
    given = {RA: ra_column, DEC: dec_column}
    for position, own in ((RA, release.ra_column), (DEC, release.dec_column)):
        known = (own, *release.aliases.get(own, ()))
        wanted[position] = (given[position],) if given[position] else known
    for column in scheme_columns(scheme, minimum_votes=minimum_votes):
        wanted[column] = (column, *release.aliases.get(column, ()))
    try:
        columns = match_columns(table, wanted, optional=[n for n in given if not given[n]])
    except InputError as error:
        raise InputError(f"{error}. {advise(release, table)}") from None
    if columns[ID] in table.floating_columns:
        raise InputError(
            f"Column {columns[ID]!r} of {catalogue} holds floating-point numbers, which cannot "
            "represent ids of 18 digits exactly. Store the ids as whole numbers or text."
        )
    return CataloguePlan(release=release, scheme=scheme, table=table, columns=columns)


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
