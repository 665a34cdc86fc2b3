"""The types that describe a Galaxy Zoo release: frozen data on how its votes become labels.

Columns have the release's own names. A catalogue's header is matched to them regardless of case,
and by the release's aliases, because published files do not always agree with their descriptions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from galaxy_tasks.releases.ballots import Ballot
from galaxy_tasks.releases.morphology import Morphology
from galaxy_tasks.releases.questions import Answer


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """A vote fraction that must reach a minimum."""

    column: str
    minimum: float
    """Smallest fraction that meets it, 0 to 1, inclusive."""
    vote_columns: tuple[str, ...] = ()
    """Columns whose sum is the number of volunteers who answered the question, if published."""


class BranchCriterion(Criterion):
    """A criterion on a question that is asked about some galaxies only.

    An empty cell or NaN means that it was not asked: the criterion is not met. For other criteria
    it means that a value is missing.
    """


@dataclass(frozen=True, kw_only=True)
class LabelRule:
    """A morphology and the criteria that a galaxy of it must all meet."""

    morphology: Morphology
    criteria: tuple[Criterion, ...]


@dataclass(frozen=True, kw_only=True)
class VoteScheme:
    """Votes to label: a galaxy has the morphology of the only rule that it meets.

    Raises:
        ValueError: two rules have the same morphology.
    """

    rules: tuple[LabelRule, ...]

    def __post_init__(self) -> None:
        morphologies = [rule.morphology for rule in self.rules]
        if len(set(morphologies)) != len(morphologies):
            raise ValueError(f"A morphology has two rules: {morphologies}")

    @property
    def fraction_columns(self) -> tuple[str, ...]:
        """The vote fractions that the rules read, each once."""
        return _unique(c.column for rule in self.rules for c in rule.criteria)

    @property
    def vote_columns(self) -> tuple[str, ...]:
        """The vote counts that the rules read, each once."""
        return _unique(v for rule in self.rules for c in rule.criteria for v in c.vote_columns)

    @property
    def blank_columns(self) -> frozenset[str]:
        """The columns whose cells may be blank: of questions asked about some galaxies only."""
        criteria = [c for rule in self.rules for c in rule.criteria]
        required = {
            name
            for c in criteria
            if not isinstance(c, BranchCriterion)
            for name in (c.column, *c.vote_columns)
        }
        return frozenset({*self.fraction_columns, *self.vote_columns} - required)


@dataclass(frozen=True, kw_only=True)
class ShorthandRule:
    """A morphology and the regular expression that its shorthand strings match."""

    morphology: Morphology
    pattern: str


@dataclass(frozen=True, kw_only=True)
class ShorthandScheme:
    """Shorthand string to label; strings outside the grammar are unreadable."""

    column: str
    grammar: str
    """Regular expression that every well-formed string matches."""
    artifact_pattern: str
    """Regular expression of the strings for an object that is no galaxy."""
    rules: tuple[ShorthandRule, ...]


@dataclass(frozen=True, kw_only=True)
class GivenScheme:
    """A column that holds the label."""

    column: str


Scheme = VoteScheme | ShorthandScheme | GivenScheme


@dataclass(frozen=True, kw_only=True)
class ImageMapping:
    """A table that maps galaxies to image files."""

    file_names: tuple[str, ...]
    id_column: str
    image_column: str
    """Column whose value replaces '{id}' in the image's file name."""


@dataclass(frozen=True, kw_only=True)
class ImageKey:
    """Catalogue columns that make up an image's name where the id alone does not.

    In each value `minus` replaces '-'. Underscores at the end of an image's name are ignored.
    """

    columns: tuple[str, ...]
    separator: str
    minus: str
    """Replaces '-' in the image's name."""


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """A file of the release as its publishers describe it; None where they state nothing."""

    name: str
    """Its name on disk."""
    addresses: tuple[str, ...]
    """Where it can be fetched, the best first; empty if only by hand."""
    size_mb: float | None = None
    """Size in megabytes (10^6 bytes), as rounded on its page."""
    size_bytes: int | None = None
    """Size to the byte."""
    md5: str | None = None
    """MD5 in hexadecimal."""
    role: Literal["catalogue", "mapping", "images"] = "catalogue"


@dataclass(frozen=True, kw_only=True)
class VoteKind:
    """How the vote fractions that the rules read are defined."""

    weighting: Literal["raw", "weighted", "debiased", "recommended", "predicted", "unstated"]
    """As counted; weighted by the volunteers' consistency; corrected for distance; for each galaxy
    whichever of these its publishers recommend; predicted by a network; not stated."""
    base: Literal["conditional", "cumulative"]
    """Share of the volunteers who were asked the question, or of all of the galaxy's volunteers."""


@dataclass(frozen=True, kw_only=True)
class Release:
    """A Galaxy Zoo release: its files, its columns, and the rules that turn votes into labels."""

    name: str
    reference: str
    """Address of the paper or page that describes it."""
    catalogue_names: tuple[str, ...]
    """File names of the catalogue, tried in turn; if empty, any table with the columns."""
    images_folders: tuple[str, ...] = ("images",)
    """Names of the image folder, tried in turn; if empty, the only folder with images."""
    image_name_pattern: str = ""
    """File name of an image with '{id}' for the id; if empty, the id and any image suffix."""
    id_columns: tuple[str, ...]
    """Names of the id column, tried in turn."""
    schemes: Mapping[str, Scheme]
    """By RunConfig.scheme; a release with 'as_given' has no other."""
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Other names of a column, tried in turn."""
    mapping: ImageMapping | ImageKey | None = None
    """How images are found whose names do not contain the catalogue's id."""
    ra_column: str = "ra"
    """Right ascension, if published: decimal degrees, or hours as 'hh:mm:ss.s'."""
    dec_column: str = "dec"
    """Declination, if published: degrees, decimal or as '±dd:mm:ss.s'."""
    cutout_arcsec: float | None = None
    """Side that hardly a cutout exceeds on the sky, in arcseconds. None if there is none: in Galaxy
    Zoo 2 and DECaLS it grows with the galaxy, or everybody makes cutouts of their own."""
    same_galaxies_as: tuple[str, ...] = ()
    """Releases that share galaxies with this one under other ids, if this one has no positions to
    crossmatch them by."""
    citation: str = ""
    """The paper to cite, and the table in it; if empty, the reference."""
    licence: str | None = None
    """The catalogue's licence in its publishers' words; None if none could be confirmed."""
    files: tuple[PublishedFile, ...] = ()
    archives_mb: float | None = None
    """Size of all image archives together, if only that is stated."""
    votes: VoteKind | None = None
    """None if there are classes and no votes."""
    rows: int | None = None
    """Published number of rows of the catalogue; None if it depends."""
    other_rows: Mapping[str, int] = field(default_factory=dict)
    """Rows of further tables that are fetched with it, to be chosen by `catalogue_file`."""
    image_source: str = "in a folder that you have"
    """How to get from an id to an image, or what to do if none are published."""
    trees: tuple[Mapping[str, Answer], ...] = ()
    """Canonical answers by column stem, a tree for each table with questions of its own."""
    fraction_suffixes: tuple[str, ...] = ("",)
    """Ends of the names of columns with vote fractions, after the stem."""
    ballots: tuple[Ballot, ...] = ()
    """How many volunteers gave each answer, for each table with questions of its own; none where
    nobody was asked, or their number is not published."""

    def find_answer(self, column: str) -> Answer | None:
        """Return the canonical answer whose vote fraction a column holds, or None."""
        for tree in self.trees:
            for stem, answer in tree.items():
                if any(column == stem + suffix for suffix in self.fraction_suffixes):
                    return answer
        return None


def make_scheme(
    thresholds: Mapping[str, Mapping[str, float]], *, vote_columns: tuple[str, ...] = ()
) -> VoteScheme:
    """Return a scheme whose classes are thresholds on vote fractions.

    Args:
        thresholds: by morphology, the columns that must all reach their minimum, 0 to 1.
        vote_columns: columns whose sum is the number of volunteers, if published.

    Raises:
        ValueError: a name is not a Morphology.
    """
    rules = (
        LabelRule(
            morphology=Morphology(name),
            criteria=tuple(
                Criterion(column=column, minimum=minimum, vote_columns=vote_columns)
                for column, minimum in minimums.items()
            ),
        )
        for name, minimums in thresholds.items()
    )
    return VoteScheme(rules=tuple(rules))


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
