"""In words, how well networks predict the volunteers' answers."""

from galaxy_tasks.evaluation.votes import LEAST_VOTES, VoteScores


def describe_votes(scores: VoteScores) -> str:
    """Return a sentence or two for the log."""
    known = [one for one in scores.questions if one.num_galaxies]
    covered = [one.coverage for one in known if one.coverage is not None]
    if not known or known[0].absolute_error is None:
        return f"No question was answered by {LEAST_VOTES} volunteers for any test galaxy."
    told = (
        f"{scores.architecture} predicts shares of answers to {known[0].question!r} with a mean "
        f"absolute error of {known[0].absolute_error:.3f}."
    )
    if covered:
        told += (
            f" {100 * scores.coverage:g} % intervals hold {100 * sum(covered) / len(covered):.0f} "
            f"% of the volunteers' numbers, the mean over {len(covered)} questions."
        )
    if scores.cumulative_error is None:
        return told
    return (
        f"{told} Over all answers, as the Galaxy Zoo challenge counts them, the root mean square "
        f"error is {scores.cumulative_error:.4f}."
    )
