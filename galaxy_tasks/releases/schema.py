"""The types a Galaxy Zoo release is written in: frozen data that says how its votes become labels.

A release is one file beside this one. Its columns carry the release's own names; a catalogue's
header is matched to them without regard to case, and by the aliases the release lists, because
the published files do not always agree with their own descriptions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

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
    """A criterion on a question that only some galaxies get to, in tables that say so by a blank.

    An empty cell or NaN means that the question was not asked: the criterion is not met, and the
    row is not malformed, as it would be where every cell is published.
    """


@dataclass(frozen=True, kw_only=True)
class LabelRule:
    """A morphology and the criteria that must all hold for it."""

    morphology: Morphology
    criteria: tuple[Criterion, ...]


@dataclass(frozen=True, kw_only=True)
class VoteScheme:
    """Votes to label: a galaxy has the morphology of the one rule it meets.

    Raises ValueError for a morphology that two rules claim.
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
        """The columns whose cells may be blank: of questions that only some galaxies get to."""
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
    """A morphology and the regular expression a shorthand string must match for it."""

    morphology: Morphology
    pattern: str


@dataclass(frozen=True, kw_only=True)
class ShorthandScheme:
    """A published shorthand string to label; strings outside its grammar are malformed."""

    column: str
    grammar: str
    """Regular expression that every well-formed string matches."""
    artifact_pattern: str
    """Regular expression of the strings that say: no galaxy."""
    rules: tuple[ShorthandRule, ...]


@dataclass(frozen=True, kw_only=True)
class GivenScheme:
    """A column that holds the label already."""

    column: str


Scheme = VoteScheme | ShorthandScheme | GivenScheme


@dataclass(frozen=True, kw_only=True)
class ImageMapping:
    """A table that says which image file shows which galaxy."""

    file_names: tuple[str, ...]
    id_column: str
    image_column: str
    """Column that stands for '{id}' in the image's file name."""


@dataclass(frozen=True, kw_only=True)
class ImageKey:
    """Catalogue columns that together are the image's name, where the id alone is not.

    Each value has '-' replaced by `minus`; underscores at the end of an image's name are ignored.
    """

    columns: tuple[str, ...]
    separator: str
    minus: str
    """What stands for '-' in the image's name."""


@dataclass(frozen=True, kw_only=True)
class PublishedFile:
    """A file of the release as its publishers offer it; None is what they do not say."""

    name: str
    """Name under which it is looked for on disk."""
    addresses: tuple[str, ...]
    """Where it can be fetched, the best first; empty: only by hand."""
    size_mb: float | None = None
    """Size in megabytes (10^6 bytes), as rounded by the page that offers it."""
    size_bytes: int | None = None
    """Size to the byte."""
    md5: str | None = None
    """MD5 in hexadecimal."""
    role: Literal["catalogue", "mapping", "images"] = "catalogue"


@dataclass(frozen=True, kw_only=True)
class VoteKind:
    """What the vote fractions of the rules are."""

    weighting: Literal["raw", "weighted", "debiased", "recommended", "predicted", "unstated"]
    """As counted; weighted by the volunteers' consistency; corrected for distance; of these what
    the publishers recommend for each galaxy; by a network."""
    base: Literal["conditional", "cumulative"]
    """Share of those who were asked the question, or of all volunteers of the galaxy."""


@dataclass(frozen=True, kw_only=True)
class Release:
    """A Galaxy Zoo release: its files, its columns, and its ways from votes to labels.

    What determines labels is in its repr, which names the artifacts made from it; what only
    describes the release is not, so that a corrected address makes nobody train again.
    """

    name: str
    reference: str
    """The paper or page that describes it."""
    catalogue_names: tuple[str, ...]
    """File names of the catalogue, tried in turn; none: the table that has the columns."""
    images_folders: tuple[str, ...] = ("images",)
    """Names of the image folder, tried in turn; none: the only folder that holds images."""
    image_name_pattern: str = ""
    """File name of an image, '{id}' standing for the id; empty: the id and any image suffix."""
    id_columns: tuple[str, ...]
    """Names of the id's column, tried in turn."""
    schemes: Mapping[str, Scheme]
    """The ways to labels by RunConfig.scheme; 'as_given', where there is one, is the only way."""
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Other names of a column, tried in turn."""
    mapping: ImageMapping | ImageKey | None = None
    """How images are found where their names do not hold the catalogue's id."""
    ra_column: str = "ra"
    """Right ascension where published: decimal degrees, or hours as 'hh:mm:ss.s'."""
    dec_column: str = "dec"
    """Declination where published: degrees, decimal or as '±dd:mm:ss.s'."""
    same_galaxies_as: tuple[str, ...] = field(default=(), repr=False)
    """Releases that have galaxies of this one, all or some, under other ids, where this one has no
    positions that would tell."""
    citation: str = field(default="", repr=False)
    """The paper to cite, and the table in it; empty: the reference."""
    licence: str | None = field(default=None, repr=False)
    """The licence of the catalogue as its publishers name it; None: none that we could confirm."""
    files: tuple[PublishedFile, ...] = field(default=(), repr=False)
    archives_mb: float | None = field(default=None, repr=False)
    """Size of all image archives together, where only that is stated."""
    votes: VoteKind | None = field(default=None, repr=False)
    """None: there are no votes, only classes."""
    rows: int | None = field(default=None, repr=False)
    """Rows of the catalogue as published; None: it depends."""
    other_rows: Mapping[str, int] = field(default_factory=dict, repr=False)
    """Rows of further tables that are fetched with it, and read where a setting names them."""
    image_source: str = field(default="in a folder that you have", repr=False)
    """How an id becomes an image, or that none are published and what to do."""
    trees: tuple[Mapping[str, Answer], ...] = field(default=(), repr=False)
    """The canonical answer by column stem, one tree for each of its differing tables."""
    fraction_suffixes: tuple[str, ...] = field(default=("",), repr=False)
    """What follows a stem in the names of columns with vote fractions."""

    def find_answer(self, column: str) -> Answer | None:
        """Return the canonical answer that a column with vote fractions is about, if any."""
        for tree in self.trees:
            for stem, answer in tree.items():
                if any(column == stem + suffix for suffix in self.fraction_suffixes):
                    return answer
        return None


def make_scheme(
    thresholds: Mapping[str, Mapping[str, float]], *, vote_columns: tuple[str, ...] = ()
) -> VoteScheme:
    """Return the scheme of a release whose classes are thresholds on columns.

    Args:
        thresholds: by morphology the columns that must all reach their minimum, 0 to 1.
        vote_columns: columns whose sum is the number of volunteers, if published.

    Raises:
        ValueError: a name is no Morphology.
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
