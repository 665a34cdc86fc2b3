"""One file per release, with a constant named like the file in capitals."""
