"""Training over several processes and machines."""
