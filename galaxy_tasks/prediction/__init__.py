"""A trained model on anybody's images."""
