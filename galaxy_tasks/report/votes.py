"""In words, what networks foresee of the volunteers' answers."""

from galaxy_tasks.evaluation.votes import VoteScores


def describe_votes(scores: VoteScores) -> str:
    """Return a sentence or two for the log."""
    known = [one for one in scores.questions if one.num_galaxies]
    first = known[0]
    challenge = (
        f" Over all answers, as the Galaxy Zoo challenge counts them, the root mean square error "
        f"is {scores.cumulative_error:.4f}."
        if scores.cumulative_error is not None
        else ""
    )
    held = sum(one.coverage for one in known) / len(known)
    return (
        f"{scores.architecture} foresees shares of answers to {first.question!r} with a mean "
        f"absolute error of {first.absolute_error:.3f}; {100 * scores.coverage:g} % intervals hold "
        f"{100 * held:.0f} % of the volunteers' numbers, the mean over {len(known)} questions."
        f"{challenge}"
    )
