"""What the page says of an answer: HTML that a screen reader can read, without a fetched byte."""

from __future__ import annotations

from collections import Counter
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.demo.uploads import LONGEST_S, READ_S
from mien.reporting.pages import templates
from mien.results.drawing import contrasting, css_color, label_colors
from mien.results.wording import percent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mien.demo.clips import ClipAnswer
    from mien.demo.live import LiveAnswer
    from mien.demo.photo import Model, PhotoAnswer
    from mien.results import FaceEmotion, ImageResult

#: Faces of a clip with bars of their own, at most: those seen longest.
_MAX = 24
#: Probability below which a row is folded away.
_FOLD_BELOW = 0.05


def render(name: str, **values: Any) -> str:
    """Fills a template of ``mien/demo/templates``; every value is escaped."""
    pages = templates(
        Path(__file__).with_name("templates"), paint=_paint, percent=percent, share=_share
    )
    pages.globals["fold_below"] = _FOLD_BELOW
    return pages.get_template(name).render(**values)


def _paint(labels: Sequence[str], label: str) -> dict[str, str]:
    """Returns the colour of a label, and the one that reads well on it."""
    color = label_colors(labels)[label]
    return {"paper": css_color(color), "ink": css_color(contrasting(color))}


def _share(pixels: float, side: int) -> str:
    """Returns a length as CSS writes it, relative to the picture's side."""
    return f"{100 * pixels / side:.3f}%"


def intro() -> str:
    """Returns what stands above all tabs."""
    return render("intro.html", read_s=round(READ_S) + 10, longest_min=round(LONGEST_S / 60))


def limits(models: Mapping[str, Model]) -> str:
    """Returns what the page cannot know, and what is known of the models, in Markdown."""
    rows = []
    for name, model in models.items():
        config, measured = model.recognizer.config, "not measured"
        if scores := config.metrics.get("valid"):
            low, high = scores["accuracy_ci"]
            measured = f"{scores['accuracy']:.1%} ({low:.1%} to {high:.1%}) of validation faces"
        rows.append((name, measured, config.data, config.license))
    return render("limits.md", rows=rows)


def sentence(result: ImageResult) -> str:
    """Says what was found in a picture.

    >>> from mien.results import ImageResult
    >>> sentence(ImageResult("a.jpg", 64, 48, (), "model", "detector", {}))
    'No face found. A larger, brighter or more frontal face may help.'
    """
    faces = result.faces
    if not faces:
        return "No face found. A larger, brighter or more frontal face may help."
    if len(faces) == 1:
        return f"1 face: looks like {faces[0].emotion}, {percent(faces[0].confidence)}."
    counts = Counter(face.emotion for face in faces)
    looks = ", ".join(f"{count} {label}" for label, count in counts.most_common())
    return f"{len(faces)} faces: {looks}."


def status(text: str) -> str:
    """Returns the line that says how it went."""
    return render("status.html", text=text)


def problem(text: str) -> str:
    """Returns the line that says why nothing could be read."""
    return render("problem.html", text=text)


def photo_figure(answer: PhotoAnswer, label: str | None = None) -> str:
    """Returns the photo, as strong as the slider says its maps of ``label``, and its boxes."""
    return render("photo.html", answer=answer, sentence=sentence(answer.result), label=label)


def face_cards(result: ImageResult, faces: Sequence[bytes]) -> str:
    """Returns the probabilities of each face as a table with bars."""
    shown = list(zip(result.faces, faces, strict=True))
    return render("faces.html", shown=shown) if shown else ""


def comparison(results: Mapping[str, ImageResult]) -> str:
    """Returns what each model says of each face as a table."""
    rows = list(zip_longest(*(result.faces for result in results.values())))
    if not rows:
        return status("No face found, so there is nothing to compare.")
    return render("comparison.html", names=list(results), rows=rows)


def live_view(answer: LiveAnswer) -> str:
    """Returns a frame of the camera with its boxes, bars and honest figures."""
    largest = max(answer.result.faces, key=_area, default=None)
    return render("live.html", answer=answer, sentence=sentence(answer.result), largest=largest)


def _area(face: FaceEmotion) -> float:
    x1, y1, x2, y2 = face.box_xyxy
    return (x2 - x1) * (y2 - y1)


def clip_sentence(answer: ClipAnswer) -> str:
    """Says what was found in a clip."""
    summary = answer.summary
    count = len(summary.tracks)
    faces = "No face found" if not count else "1 face" if count == 1 else f"{count} faces"
    broken = "" if summary.complete else " The file breaks off early, or parts of it are damaged."
    if summary.frames_failed:
        broken += f" The detector failed on {summary.frames_failed} of them."
    return f"{faces} in {summary.duration_s:.1f} s, {summary.frames_read} frames read.{broken}"


def clip_view(answer: ClipAnswer) -> str:
    """Returns the timeline, each face's shares, and the table to download."""
    longest = sorted(answer.summary.tracks, key=lambda track: -track.seen_s)
    tracks = sorted(longest[:_MAX], key=lambda track: track.track_id)
    said = "; ".join(f"face {track.track_id} mostly {track.emotion}" for track in tracks)
    return render("clip.html", answer=answer, tracks=tracks, said=said, more=len(longest[_MAX:]))
