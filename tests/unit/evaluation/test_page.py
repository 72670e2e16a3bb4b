from __future__ import annotations

from typing import Any

from mien.evaluation import plots as p
from mien.reporting.pages import render
from mien.reporting.theme import DARK, LIGHT
from support import needs
from support.evaluation_page import small

pytestmark = needs("matplotlib", "sklearn")


def test_hostile_names_are_escaped() -> None:
    tables = [("", ["<i>"], [["<img src=x>"]])]
    text = render("tables.html", title="<script>x</script>", subtitle="a & b", tables=tables)
    assert "<script>" not in text
    assert "<img" not in text
    assert "a &amp; b" in text


def _legend(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_curves_carry_the_right_areas() -> None:
    evaluation = small([[0.9, 0.1], [0.4, 0.6], [0.35, 0.65], [0.2, 0.8]], [0, 1, 0, 1])
    # Of the 2 x 2 pairs of a joy and a fear, three are in the right order.
    assert _legend(p.plot_roc(evaluation, LIGHT)) == ["joy  0.750", "fear  0.750"]
    # By falling p(joy): joy, fear, joy, fear, so precision 1 at recall 1/2 and 2/3 at 1.
    joy = 0.5 * 1 + 0.5 * 2 / 3
    assert _legend(p.plot_precision_recall(evaluation, DARK))[0] == f"joy  {joy:.3f}"


def test_confusion_shows_counts_and_percent() -> None:
    evaluation = small([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2], [0.2, 0.8]], [0, 0, 1, 1])
    for normalised, expected in ((True, ["50"] * 4), (False, ["1"] * 4)):
        figure = p.plot_confusion(evaluation, LIGHT, normalised=normalised)
        assert [text.get_text() for text in figure.axes[0].texts] == expected


def test_each_figure_of_a_table_carries_its_name_for_narrow_screens() -> None:
    tables = [("", ["model", "n"], [["a", "1,200"]])]
    text = render("tables.html", title="x", tables=tables)
    assert '<td data-name="n">1,200</td>' in text
    assert "td::before { content: attr(data-name)" in text
