"""Applications of frameworks, each with the same routes as far as it has the means."""
