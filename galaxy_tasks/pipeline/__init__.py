"""One module per task: it reads artifacts, calls the packages below, and publishes an artifact."""
