"""How well predicted answers fit those of a galaxy's volunteers.

The Dirichlet-multinomial distribution is that of their numbers where each question's fractions have
a Dirichlet distribution (Walmsley et al. 2022, MNRAS 509, 3966, section 4.2). Keras has no
logarithm of the gamma function that all its backends know, so there is one here.
"""

import math

import keras
import numpy as np
from keras import ops

from galaxy_tasks.training.vote_head import LARGEST_CONCENTRATION, VoteHead

_SHIFT = 8


def log_gamma(x):
    """Return the logarithm of the gamma function of positive numbers, in float32.

    Stirling's series with two terms (Abramowitz & Stegun 1964, 6.1.41) of x + 8, and back by
    gamma(x + 1) = x gamma(x), in two products, since one of eight would overflow above 60,000.
    """
    shifted = x + _SHIFT
    back = sum(ops.log((x + k) * (x + k + 1) * (x + k + 2) * (x + k + 3)) for k in (0, 4))
    series = (shifted - 0.5) * ops.log(shifted) - shifted + 0.5 * math.log(2 * math.pi)
    return series + 1 / (12 * shifted) - 1 / (360 * shifted**3) - back


class _VoteLoss(keras.losses.Loss):
    """A loss of outputs (batch, answers) for numbers of volunteers (batch, answers)."""

    def __init__(self, head: VoteHead) -> None:
        super().__init__()
        questions = np.eye(len(head.questions), dtype=np.float32)
        self._question_of = questions[head.question_of]

    def _sum_questions(self, weights):
        """Return (batch, questions)."""
        return ops.matmul(weights, self._question_of)

    def _find_concentrations(self, outputs):
        return 1 + LARGEST_CONCENTRATION * ops.sigmoid(ops.cast(outputs, "float32"))


class DirichletMultinomial(_VoteLoss):
    """Minus the logarithm of the likelihood, in nats a galaxy, but for what no network changes."""

    def call(self, y_true, y_pred):
        """Return (batch,); questions that nobody answered add nothing."""
        votes, concentrations = ops.cast(y_true, "float32"), self._find_concentrations(y_pred)
        total = self._sum_questions(concentrations)
        of_questions = log_gamma(total) - log_gamma(total + self._sum_questions(votes))
        of_answers = log_gamma(votes + concentrations) - log_gamma(concentrations)
        return -(ops.sum(of_questions, axis=-1) + ops.sum(of_answers, axis=-1))


class FractionsError(_VoteLoss):
    """The mean squared error of the fractions, over the answers of questions that were asked."""

    def call(self, y_true, y_pred):
        """Return (batch,)."""
        votes, concentrations = ops.cast(y_true, "float32"), self._find_concentrations(y_pred)
        spread = ops.transpose(self._question_of)
        asked = ops.matmul(self._sum_questions(votes), spread)
        total = ops.matmul(self._sum_questions(concentrations), spread)
        is_asked = ops.cast(asked > 0, "float32")
        error = votes / ops.maximum(asked, 1e-6) - concentrations / total
        squares = ops.sum(is_asked * ops.square(error), axis=-1)
        return squares / ops.maximum(ops.sum(is_asked, axis=-1), 1.0)


LOSSES = {"votes": DirichletMultinomial, "fractions": FractionsError}
"""By the setting 'target'."""
