"""What the tests of pages in a browser share: axe-core, and a walk with the Tab key."""

from __future__ import annotations

from typing import Any

import pytest

#: All rules of WCAG 2.0 to 2.2, levels A and AA, and what axe-core calls best practice.
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
#: What has the focus: its name, how its ring is drawn, and its target's size; null at the end.
_FOCUSED = """() => {
    const own = document.activeElement;
    if (!own || own === document.body) return null;
    // A field that is hidden over its label is seen as that label.
    const hidden = (one) => getComputedStyle(one).opacity === "0" || one.clientWidth <= 1;
    const shown = hidden(own) ? own.nextElementSibling ?? own.parentElement : own;
    const style = getComputedStyle(shown);
    const target = own.labels?.[0] ?? shown;
    const { width, height } = target.getBoundingClientRect();
    return {
        name: (own.ariaLabel || own.innerText || own.title || own.labels?.[0]?.innerText
            || own.type || own.tagName).trim().slice(0, 60),
        ring: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth),
        inline: style.display === "inline", width, height,
        key: [own.tagName, own.id, own.className, own.innerText].join("|"),
    };
}"""


def violations(tab: Any) -> list[str]:
    """What axe-core finds wrong with a page as it stands, by rule and first place."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe")
    for _ in range(6):
        found = axe.Axe().run(tab, options={"runOnly": _RULES}).response
        assert len(found["passes"]) > 10, "the rules were not run"
        if not found["violations"]:
            return []
        tab.wait_for_timeout(500)  # what is being faded in has too little contrast for a moment
    return [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in found["violations"]]


def out_of_sight(tab: Any) -> list[str]:
    """The figures in tables and cards that lie outside the window, or are cut."""
    found: list[str] = tab.evaluate(
        """[...document.querySelectorAll("td, .card b")].filter(x => {
            const { left, right } = x.getBoundingClientRect();
            return left < 0 || right > innerWidth || x.scrollWidth > x.clientWidth + 1;
        }).map(x => x.innerText)"""
    )
    return found


def walk(tab: Any, most: int = 60) -> list[dict[str, Any]]:
    """Goes through a page with the Tab key; returns what had the focus, each once."""
    found: dict[str, dict[str, Any]] = {}
    for _ in range(most):
        tab.keyboard.press("Tab")
        focused = tab.evaluate(_FOCUSED)
        if focused is not None:
            found.setdefault(focused["key"], focused)
    return list(found.values())


def check_walk(tab: Any) -> list[str]:
    """Checks rings of 2 and targets of 24 pixels of all that the Tab key reaches; returns names."""
    reached = walk(tab)
    assert [one for one in reached if one["ring"] < 2] == []
    # A link in a line of text is as high as the line.
    small = [one for one in reached if min(one["width"], one["height"]) < 24 and not one["inline"]]
    assert small == []
    return [one["name"] for one in reached]
