"""Losses, optimisers, schedules and averages of weights."""
