"""Faces for training: in memory or streamed, augmented, mixed."""
