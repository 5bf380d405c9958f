"""Makes the cases in `tests/vectors/queue/`, one module per room of the walk."""
