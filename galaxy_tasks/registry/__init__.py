"""Which model is recommended: MLflow's registry and tracking, fed from published artifacts."""
