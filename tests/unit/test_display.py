"""Results on the screen, in notebooks, and in the tables and types of other libraries."""

from __future__ import annotations

import gc
import io
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mien
from mien import EmotionRecognizer, ErrorResult, ImageResult, InputError
from mien.detectors import Detections
from mien.errors import ConfigError, MissingExtraError
from mien.hub import ASSETS
from mien.images import ImageLimits, decode
from mien.results import csv_header, to_frame
from support import ROOT

SAMPLE = ASSETS / "sample" / "astronaut.jpg"


@pytest.fixture(scope="module")
def recognizer() -> EmotionRecognizer:
    return EmotionRecognizer()


@pytest.fixture(scope="module")
def result(recognizer: EmotionRecognizer) -> ImageResult:
    return recognizer.predict(SAMPLE)


def test_picture_is_drawn_without_being_passed(
    recognizer: EmotionRecognizer, result: ImageResult, tmp_path: Path
) -> None:
    pixels = decode(SAMPLE)
    expected = result.draw(pixels)
    assert (expected != pixels).any()
    image, bgr = Image.open(SAMPLE), pixels[:, :, ::-1].copy()
    with SAMPLE.open("rb") as stream:
        from_stream = recognizer.predict(stream)
    for other in (
        result,
        recognizer.predict(str(SAMPLE)),
        recognizer.predict(SAMPLE.read_bytes()),
        recognizer.predict(pixels),
        recognizer.predict(bgr, bgr=True),
        recognizer.predict(image),
        from_stream,
        ImageResult.from_json(result.to_json()),
        pickle.loads(pickle.dumps(result)),
        *recognizer([SAMPLE]),
    ):
        assert (other.draw() == expected).all()
    assert result.save(tmp_path / "drawn.png") == tmp_path / "drawn.png"
    assert (decode(tmp_path / "drawn.png") == expected).all()
    with pytest.raises(ConfigError, match="overwrite"):
        result.save(tmp_path / "drawn.png")
    result.save(tmp_path / "drawn.png", pixels, overwrite=True)


def test_pixels_are_not_kept(recognizer: EmotionRecognizer) -> None:
    gone = [recognizer.predict(decode(SAMPLE)), recognizer.predict(io.BytesIO(SAMPLE.read_bytes()))]
    gc.collect()
    for result in gone:
        with pytest.raises(InputError, match=r"not held in memory.*result\.draw\(image_rgb\)"):
            result.draw()
        assert "happiness" in result._repr_html_()
        assert result.draw(decode(SAMPLE)).shape == (512, 512, 3)
    assert gone[0].source == "<array>"


def test_picture_is_read_again_with_the_limits_of_the_recognizer() -> None:
    wide = EmotionRecognizer(detector="none", limits=ImageLimits(max_side=40_000))
    data = io.BytesIO()
    Image.new("RGB", (33_000, 30)).save(data, "PNG")
    assert wide.predict(data.getvalue()).draw().shape == (30, 33_000, 3)


def test_missing_picture_is_named(tmp_path: Path, recognizer: EmotionRecognizer) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(SAMPLE.read_bytes())
    result = recognizer.predict(path)
    path.unlink()
    with pytest.raises(InputError, match=r"a\.jpg"):
        result.draw()


def test_remembering_the_picture_changes_neither_equality_nor_json(result: ImageResult) -> None:
    twin = ImageResult.from_dict(result.to_dict())
    assert twin == result
    assert set(result.to_dict()) == {
        "schema_version", "source", "width", "height", "faces", "model", "detector", "timings_ms",
        "warnings",
    }  # fmt: skip


def test_repr_is_one_line_for_people(result: ImageResult) -> None:
    face = result.faces[0]
    x1, y1, x2, y2 = (round(value) for value in face.box_xyxy)
    assert (
        repr(face) == f"<FaceEmotion happiness {face.confidence:.0%} at ({x1}, {y1}, {x2}, {y2})>"
    )
    assert repr(result) == (
        f"<ImageResult {str(SAMPLE)!r} 512x512, 1 face: happiness {face.confidence:.0%}>"
    )
    assert "no face" in repr(ImageResult("a.jpg", 3, 4, (), "m", "d", {}))
    crowd = ImageResult("a.jpg", 3, 4, (face,) * 6, "m", "d", {})
    assert repr(crowd).count("happiness") == 4
    assert "6 faces" in repr(crowd)


def test_notebook_shows_picture_and_table(result: ImageResult) -> None:
    html = result._repr_html_()
    assert "data:image/jpeg;base64," in html
    assert "<td>happiness</td>" in html
    strange = ImageResult("<b>.jpg", 3, 4, (), "m", "d", {}, ("a <i> note",))
    html = strange._repr_html_()
    assert "&lt;b&gt;" in html
    assert "no face" in html
    assert "<i>" not in html


def test_show_opens_a_viewer_outside_of_notebooks(
    result: ImageResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[int, int]] = []
    monkeypatch.setattr(Image.Image, "show", lambda self, title: shown.append(self.size))
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    result.show()
    result.show(decode(SAMPLE))
    assert shown == [(512, 512)] * 2


def test_show_displays_inside_notebooks(
    result: ImageResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    display = pytest.importorskip("IPython.display")
    import IPython

    shown: list[object] = []
    monkeypatch.setattr(IPython, "get_ipython", type("Shell", (), {"kernel": 1}))
    monkeypatch.setattr(display, "display", shown.append)
    result.show()
    assert [type(item).__name__ for item in shown] == ["Image"]


def test_plot_has_a_panel_for_the_picture_and_one_per_face(result: ImageResult) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.patches import Rectangle

    figure = result.plot()
    assert len(figure.axes) == 2
    bars = figure.axes[1].patches
    widths = [bar.get_width() for bar in bars if isinstance(bar, Rectangle)]
    assert len(widths) == len(bars)
    assert widths == pytest.approx(list(result.faces[0].probs.values()))
    figure.savefig(io.BytesIO())
    empty = ImageResult("a", 8, 6, (), "m", "d", {})
    assert len(empty.plot(np.zeros((6, 8, 3), np.uint8)).axes) == 1


def test_frame_has_the_columns_of_the_csv(
    recognizer: EmotionRecognizer, result: ImageResult
) -> None:
    pandas = pytest.importorskip("pandas")
    header = csv_header(recognizer.labels)
    (row,) = result.to_pandas().to_dict("records")
    assert list(row) == header
    assert row["emotion"] == "happiness"
    assert row["p_happiness"] == result.faces[0].confidence
    assert row["quality_flags"] == ""
    assert pandas.isna(row["track_id"])
    empty = recognizer.predict(np.zeros((50, 50, 3), np.uint8))
    assert len(empty.to_pandas()) == 0
    table = to_frame(recognizer([SAMPLE, np.zeros((50, 50, 3), np.uint8), "missing.jpg"]))
    assert list(table.columns) == header
    assert table["emotion"].tolist() == ["happiness", None, None]
    assert table["error"].isna().tolist() == [True, True, False]
    assert table["confidence"].dtype == np.float64
    assert table.groupby("emotion")["confidence"].mean()["happiness"] == row["confidence"]
    assert len(to_frame([])) == 0


def test_supervision_takes_faces_and_gives_boxes(
    result: ImageResult, recognizer: EmotionRecognizer
) -> None:
    supervision = pytest.importorskip("supervision")
    found = result.to_supervision()
    face = result.faces[0]
    assert found.xyxy.tolist() == [pytest.approx(face.box_xyxy)]
    assert found.confidence.tolist() == [pytest.approx(face.confidence)]
    assert recognizer.labels[int(found.class_id[0])] == face.emotion
    assert found["class_name"].tolist() == [face.emotion]
    assert found["uncertain"].tolist() == [face.uncertain]
    assert found.tracker_id is None
    annotated = supervision.LabelAnnotator().annotate(decode(SAMPLE), found)
    assert annotated.shape == (512, 512, 3)
    assert len(recognizer.predict(np.zeros((50, 50, 3), np.uint8)).to_supervision()) == 0

    boxes = Detections.from_supervision(found)
    assert boxes.boxes_xyxy.tolist() == found.xyxy.tolist()
    assert boxes.scores.tolist() == found.confidence.tolist()
    without = supervision.Detections(xyxy=np.array([[0, 0, 9, 9.0]]))
    assert Detections.from_supervision(without).scores.tolist() == [1.0]
    assert len(Detections.from_supervision(supervision.Detections.empty())) == 0


@pytest.mark.parametrize(
    ("module", "call"),
    [("pandas", "to_pandas"), ("supervision", "to_supervision"), ("matplotlib.figure", "plot")],
)
def test_missing_library_is_named_with_what_to_type(
    result: ImageResult, monkeypatch: pytest.MonkeyPatch, module: str, call: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r'pip install "mien\[') as caught:
        getattr(result, call)()
    text = (ROOT / "pyproject.toml").read_text()
    assert f"\n{caught.value.extra} = [" in text


def test_error_results_are_records_too() -> None:
    error = ErrorResult("a", "is empty", "InputError")
    assert error == mien.ErrorResult.from_json(error.to_json())
