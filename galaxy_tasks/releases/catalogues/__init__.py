"""One file a release; each holds a constant with the name of its file in capitals."""
