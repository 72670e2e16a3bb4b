"""How the bundled face detector is made: data, training, evaluation, export. Not in the wheel."""
