"""One image file to one network input."""
