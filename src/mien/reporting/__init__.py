"""Reports: one look for pages and diagrams, whatever they tell (extra ``eval``)."""
