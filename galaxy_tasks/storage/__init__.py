"""Content-addressed artifacts: atomic, locked and resumable."""
