"""One file a task: read artifacts, call the rooms below, publish an artifact."""
