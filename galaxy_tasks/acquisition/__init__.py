"""A release onto this disk: locate, fetch, verify and unpack it, and read its tables."""
