"""The making of the bundled expression networks: several sources, teachers, students.

Run from the repository's root, with the datasets at ``../shared`` (see the page "The road of the
bundled model")::

    python -m research.expression.pack --data ../shared --out runs/faces
    python -m research.expression.train -c research/expression/recipe.yaml
    python -m research.expression.evaluate runs/expression/student.safetensors
"""
