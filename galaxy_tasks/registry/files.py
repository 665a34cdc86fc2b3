"""Names of an evaluation's files that the registry reads."""

REPORT, RESULTS, MODEL_CARD = "report.html", "results.json", "model_card.md"
