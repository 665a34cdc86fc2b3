"""What people type: the command `galaxy-morphology`."""
