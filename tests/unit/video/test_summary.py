from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien import DataError
from mien.reporting.theme import LIGHT, new_figure
from mien.results.drawing import label_colors
from mien.video.picture import _draw_band, bin_timeline, draw_timeline
from mien.video.summary import Change, Summarizer, valences
from mien.video.timeline import (
    TimelineRow,
    interval_header,
    interval_rows,
    join_timelines,
    read_timeline,
    subtitles,
    write_rows,
)

LABELS = ("happiness", "sadness")


def _row(time_s: float, happy: float, track_id: int = 1) -> TimelineRow:
    top = LABELS[int(happy < 0.5)]
    return TimelineRow(time_s, track_id, top, np.array([happy, 1 - happy]))


def _summary(rows: list[TimelineRow]) -> Summarizer:
    summary = Summarizer(LABELS, gap_s=0.3, frame_s=0.1)
    for row in rows:
        summary.add(row)
    return summary


def test_time_in_sight_leaves_out_the_gap() -> None:
    times = [0.0, 0.1, 0.2, 1.0, 1.1]
    [track] = _summary([_row(time_s, 0.75) for time_s in times]).tracks()
    assert track.seen_s == pytest.approx(0.5)
    assert (track.first_s, track.last_s, track.frames) == (0.0, 1.1, 5)


def test_shares_are_weighted_by_time() -> None:
    # Frames count 0.1, 0.3 and 0.1 s: (0.1 * 1 + 0.3 * 0 + 0.1 * 1) / 0.5.
    [track] = _summary([_row(0.0, 1.0), _row(0.3, 0.0), _row(0.4, 1.0)]).tracks()
    assert track.shares == {"happiness": 0.4, "sadness": 0.6}
    assert track.emotion == "sadness"
    assert track.valence == pytest.approx(0.4 * 0.8 - 0.6 * 0.6)


def test_change_counts_once_it_has_lasted() -> None:
    happy = [1.0] * 10 + [0.0] * 3 + [1.0] * 5 + [0.0] * 10
    [track] = _summary([_row(i / 10, value) for i, value in enumerate(happy)]).tracks()
    assert track.changes == (Change(1.8, "happiness", "sadness"),)


def test_trend_is_the_slope_of_a_line() -> None:
    times = np.arange(0, 4, 0.1)
    [track] = _summary([_row(time_s, 0.2 + 0.1 * time_s) for time_s in times.tolist()]).tracks()
    # Valence rises by 0.1 * (0.8 + 0.6) per second.
    assert track.valence_trend == pytest.approx(0.14 * 60, abs=1e-3)
    [short] = _summary([_row(i / 10, 0.5) for i in range(15)]).tracks()
    assert short.valence_trend is None


def test_labels_of_one_s_own_have_no_valence() -> None:
    summary = Summarizer(("bored", "awake"), gap_s=0.3, frame_s=0.1)
    summary.add(TimelineRow(0.0, 4, "bored", np.array([0.9, 0.1])))
    [track] = summary.tracks()
    assert (track.valence, track.valence_trend) == (None, None)
    aliases = valences(("sad", "angry", "happy"))
    assert aliases is not None
    assert aliases.tolist() == [-0.6, -0.5, 0.8]


def test_subtitles_name_the_faces_in_sight() -> None:
    rows = [_row(i / 10, 1.0) for i in range(10)]
    rows += [row for i in range(10, 20) for row in (_row(i / 10, 1.0), _row(i / 10, 0.0, 2))]
    rows += [_row(i / 10, 0.0, 2) for i in range(50, 60)]
    assert list(subtitles(rows, frame_s=0.1)) == [
        "1\n00:00:00,000 --> 00:00:01,000\n#1 happiness\n\n",
        "2\n00:00:01,000 --> 00:00:02,000\n#1 happiness  #2 sadness\n\n",
        "3\n00:00:05,000 --> 00:00:06,000\n#2 sadness\n\n",
    ]
    assert list(subtitles([], frame_s=0.1)) == []


def test_subtitles_do_not_flicker() -> None:
    rows = [_row(i / 10, float(i % 2)) for i in range(40)]
    blocks = list(subtitles(rows, frame_s=0.1))
    assert len(blocks) <= 4 / 0.6 + 1


def test_bins_are_means_and_gaps_stay_empty() -> None:
    rows = [_row(0.1, 1.0), _row(0.2, 0.0), _row(0.1, 0.3, 7), _row(1.6, 0.5)]
    edges, shares = bin_timeline(rows, [1], classes=2, duration_s=2.0, frame_s=0.33)
    assert edges.tolist() == [0, 0.5, 1, 1.5, 2]
    assert shares.shape == (1, 4, 2)
    assert shares[0, 0].tolist() == [0.5, 0.5]
    assert np.isnan(shares[0, 1:3]).all()
    assert shares[0, 3].tolist() == [0.5, 0.5]


def test_picture_shows_each_label_in_its_colour(tmp_path: Path) -> None:
    rows = [_row(i / 10, 1.0) for i in range(10)] + [_row(i / 10, 0.0) for i in range(10, 20)]
    [track] = _summary(rows).tracks()
    edges, shares = bin_timeline(rows, [1], classes=2, duration_s=2.0, frame_s=0.1)
    Image.new("RGB", (96, 96), (1, 2, 3)).save(tmp_path / "face.png")
    path = tmp_path / "timeline.png"
    draw_timeline(
        path, [track], edges, shares, labels=LABELS, portraits={1: tmp_path / "face.png"},
        title="a clip",
    )  # fmt: skip
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    places = []
    for color in label_colors(LABELS).values():
        near = np.abs(pixels - color).max(axis=2) <= 2
        rows_, columns = np.nonzero(near[: int(pixels.shape[0] * 0.6)])
        assert len(rows_) > 5000
        places.append(columns.mean())
    assert places[0] < places[1], "happiness comes first"
    assert (np.abs(pixels - (1, 2, 3)).max(axis=2) <= 2).sum() > 2000, "the portrait"


def test_timeline_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("file_name,label\na.png,happy\n")
    with pytest.raises(DataError, match="no timeline"):
        list(read_timeline(tmp_path / "a.csv"))


def test_timelines_join_below_one_header(tmp_path: Path) -> None:
    for name, rows in (("a", [[1, 2]]), ("b", []), ("c", [[3, 4], [5, 6]])):
        write_rows(tmp_path / name, ["x", "y"], rows)
    join_timelines(tmp_path / "all", [tmp_path / name for name in "abc"], ["x", "y"])
    assert (tmp_path / "all").read_text() == "x,y\n1,2\n3,4\n5,6\n"


def test_intervals_are_means_of_each_face_in_each() -> None:
    flagged = TimelineRow(0.3, 1, "sadness", np.array([0.2, 0.8]), True, ("small", "dark"))
    rows = [_row(0.1, 0.9), _row(0.1, 0.6, 2), flagged, _row(0.6, 0.7)]
    found = list(interval_rows(rows, LABELS, 0.2))
    assert [row[:4] for row in found] == [
        [0.0, 0.2, 1, 1], [0.0, 0.2, 2, 1], [0.2, 0.4, 1, 1], [0.6, 0.8, 1, 1],
    ]  # fmt: skip
    whole = list(interval_rows(rows, LABELS, 10))
    assert whole[0] == [0.0, 10.0, 1, 3, "happiness", 0.6, 0.333333, "small dark", 0.6, 0.4]
    assert len(whole[0]) == len(interval_header(LABELS))


def test_band_has_an_axis_in_percent_and_a_strip_of_the_main_expression() -> None:
    _, axes = new_figure(LIGHT)
    shares = np.array([[0.9, 0.1], [0.4, 0.6], [np.nan, np.nan], [0.3, 0.7]])
    _draw_band(axes, np.arange(5.0), shares, ["#ff0000", "#0000ff"], LIGHT)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["0 %", "50 %", "100 %"]
    corners = [
        [np.asarray(path.vertices)[:, 0] for path in strip.get_paths()]
        for strip in axes.collections[-2:]
    ]
    times = [[(x.min(), x.max()) for x in strip] for strip in corners]
    assert times == [[(0, 1)], [(1, 2), (3, 4)]], "nothing where nobody is seen"
