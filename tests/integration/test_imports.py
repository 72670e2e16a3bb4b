"""The imports of the package form no circle: neither at module level, nor inside functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import ROOT

SOURCE = ROOT / "src"

Graph = dict[str, set[str]]


def _module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def _import_nodes(node: ast.AST, *, inside: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yields the imports that run; those in functions only where ``inside`` is true."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child
        elif _is_type_checking(child):
            assert isinstance(child, ast.If)
            for other in child.orelse:
                yield from _import_nodes(other, inside=inside)
        elif inside or not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from _import_nodes(child, inside=inside)


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
        nodes = _import_nodes(tree, inside=inside)
        graph[name] = {t for node in nodes for t in _targets(node, set(files))} - {name}
    return graph


def circles(graph: Graph) -> list[list[str]]:
    """Returns the strongly connected parts of more than one module (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in sorted(graph[name]):
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            cut = stack.index(name)
            part = sorted(stack[cut:])
            del stack[cut:]
            if len(part) > 1:
                found.append(part)

    for name in sorted(graph):
        if name not in index:
            visit(name)
    return found


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
