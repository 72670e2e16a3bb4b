"""``tune``: many trainings over a space of recipes, on one machine or several (train extra)."""
