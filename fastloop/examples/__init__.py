"""Small servers to read, to run, and to start from; ``fastloop demo`` runs them all."""
