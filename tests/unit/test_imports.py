"""The imports of the package form no circle: neither at module level, nor inside functions."""

from __future__ import annotations

from support.import_graph import circles


def test_circles_are_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}, "e": {"f"}, "f": {"e"}}
    assert circles(graph) == [["a", "b", "c"], ["e", "f"]]
