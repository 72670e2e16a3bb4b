"""Training of mien's own face detector: labels by two teachers, views, loss, loop, evaluation."""
