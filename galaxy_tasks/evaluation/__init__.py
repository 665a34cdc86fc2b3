"""Probabilities to scores, comparisons, the winner, champion and challenger; no model inside."""
