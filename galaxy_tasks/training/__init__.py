"""Prepared images to a trained model."""
