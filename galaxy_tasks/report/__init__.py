"""What people read: the page, its figures and example galaxies."""
