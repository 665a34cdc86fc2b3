"""Votes to one label and one split for each galaxy."""
