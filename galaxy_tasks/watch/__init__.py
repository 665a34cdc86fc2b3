"""How new releases arrive: the inbox, the Zenodo poller and the backlog of runs."""
