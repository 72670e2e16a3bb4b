"""The imports of the package form no circle: neither at module level, nor inside functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import ROOT
from support.import_graph import Graph, circles, import_nodes

SOURCE = ROOT / "src"


def _module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _targets(node: ast.Import | ast.ImportFrom, modules: set[str]) -> Iterator[str]:
    """Yields the modules of the package that an import names."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in modules)
        return
    assert not node.level, "imports are absolute"
    for alias in node.names:
        submodule = f"{node.module}.{alias.name}"
        if submodule in modules:
            yield submodule
        elif node.module in modules:
            yield str(node.module)


def import_graph(*, inside: bool) -> Graph:
    """Draws the graph of the package: module -> modules that it imports.

    Args:
        inside: Count the imports inside functions too.
    """
    files = {_module_name(path): path for path in SOURCE.rglob("*.py")}
    graph: Graph = {}
    for name, path in files.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes = import_nodes(tree, inside=inside)
        graph[name] = {t for node in nodes for t in _targets(node, set(files))} - {name}
    return graph


@pytest.mark.parametrize("inside", [False, True], ids=["module level", "functions too"])
def test_imports_form_no_circle(inside: bool) -> None:
    graph = import_graph(inside=inside)
    assert len(graph) > 200
    assert "mien.errors" in graph["mien.training.run"]
    shown = []
    for part in circles(graph):
        edges = [f"{a} -> {b}" for a in part for b in sorted(graph[a] & set(part))]
        shown.append("\n".join(edges))
    assert not shown, "\n\n".join(shown)
