"""What the page says of an answer: HTML that a screen reader can read, without a fetched byte."""

from __future__ import annotations

import base64
from collections import Counter
from html import escape
from typing import TYPE_CHECKING

from mien.results.drawing import label_colors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mien.demo.clips import ClipAnswer
    from mien.demo.live import LiveAnswer
    from mien.demo.photo import PhotoAnswer
    from mien.results import FaceEmotion, ImageResult
    from mien.video.summary import TrackSummary

#: Faces with bars of their own, at most.
_MAX = 12


def percent(share: float) -> str:
    """Returns a probability as people read it.

    >>> percent(0.934), percent(0.004), percent(0.9995)
    ('93%', 'under 1%', 'over 99%')
    """
    if 0 < share < 0.01:
        return "under 1%"
    return "over 99%" if 0.995 <= share < 1 else f"{share:.0%}"


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
    return f'<p class="mien-status">{escape(text)}</p>'


def problem(text: str) -> str:
    """Returns the line that says why nothing could be read."""
    return f'<p class="mien-problem" role="alert">{escape(text)}</p>'


def photo_figure(answer: PhotoAnswer) -> str:
    """Returns the photo with boxes, and over it, as strong as the slider says, its maps."""
    result = answer.result
    size = f'width="{result.width}" height="{result.height}"'
    picture = _image(answer.picture, f"Your photo with boxes. {sentence(result)}", size)
    if answer.painted is None:
        return f'<figure class="mien-figure">{picture}</figure>'
    over = _image(answer.painted, "", f'{size} class="mien-map"')
    return (
        f'<figure class="mien-figure">{picture}{over}<figcaption>Bright places of a face speak for '
        "the expression that is written at its box, as far as this model goes."
        "</figcaption></figure>"
    )


def face_cards(result: ImageResult, faces: Sequence[bytes]) -> str:
    """Returns the probabilities of each face as a table with bars."""
    shown = list(zip(result.faces, faces, strict=True))[:_MAX]
    cards = "".join(_card(number, face, jpeg) for number, (face, jpeg) in enumerate(shown, 1))
    more = len(result.faces) - len(shown)
    rest = status(f"{more} more are in the JSON below.") if more > 0 else ""
    return f'<div class="mien-cards">{cards}</div>{rest}' if cards else ""


def comparison(results: Mapping[str, ImageResult]) -> str:
    """Returns what each model says of each face as a table."""
    count = max((len(result.faces) for result in results.values()), default=0)
    if not count:
        return status("No face found, so there is nothing to compare.")
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in results)
    rows = []
    for index in range(min(count, _MAX)):
        cells = ""
        for result in results.values():
            face = result.faces[index] if index < len(result.faces) else None
            said = "none" if face is None else f"{face.emotion} {percent(face.confidence)}"
            cells += f"<td>{escape(said)}</td>"
        rows.append(f'<tr><th scope="row">Face {index + 1}</th>{cells}</tr>')
    return (
        '<div class="mien-wide"><table class="mien-table"><caption>The same faces, read by each '
        f'model</caption><tr><th scope="col">Face</th>{head}</tr>{"".join(rows)}</table></div>'
    )


def live_view(answer: LiveAnswer) -> str:
    """Returns a frame of the camera with its boxes, bars and honest figures."""
    result = answer.result
    size = f'width="{result.width}" height="{result.height}"'
    picture = _image(answer.picture, f"Your camera with boxes. {sentence(result)}", size)
    largest = max(result.faces, key=_area, default=None)
    bars = "" if largest is None else _bars(largest.probs, "Probabilities of the largest face")
    return (
        f'<figure class="mien-figure">{picture}<figcaption>{escape(sentence(result))} '
        f'<span class="mien-rate">{answer.fps:.1f} pictures per second answered, the last read in '
        f"{answer.read_ms:.0f} ms.</span></figcaption></figure>{bars}"
    )


def clip_sentence(answer: ClipAnswer) -> str:
    """Says what was found in a clip."""
    summary = answer.summary
    seconds = f"{summary.duration_s:.1f} s, {summary.frames_read} frames read."
    broken = "" if summary.complete else " The file breaks off early."
    if not summary.tracks:
        return f"No face found in {seconds}{broken}"
    count = len(summary.tracks)
    return f"{count} {'face' if count == 1 else 'faces'} in {seconds}{broken}"


def clip_view(answer: ClipAnswer) -> str:
    """Returns the timeline, each face's shares, and the table to download."""
    tracks = answer.summary.tracks
    csv = base64.b64encode(answer.table).decode()
    download = (
        '<p class="mien-download"><a download="timeline.csv" '
        f'href="data:text/csv;base64,{csv}">Download the timeline as CSV</a>: a row for each face '
        "and frame.</p>"
    )
    if not tracks:
        return download
    said = "; ".join(f"face {track.track_id} mostly {track.emotion}" for track in tracks[:_MAX])
    timeline = _image(answer.timeline, f"Expressions over time: {said}.", "", kind="png")
    cards = "".join(_track(track) for track in tracks[:_MAX])
    return (
        f'<figure class="mien-figure mien-timeline" tabindex="0">{timeline}</figure>'
        f'<div class="mien-cards">{cards}</div>{download}'
    )


def label_color(labels: Sequence[str], label: str) -> str:
    """Returns a label's colour in CSS, the same as on the picture.

    >>> label_color(["angry", "happy"], "happy")
    '#f0e442'
    """
    return "#{:02x}{:02x}{:02x}".format(*label_colors(labels)[label])


def _area(face: FaceEmotion) -> float:
    x1, y1, x2, y2 = face.box_xyxy
    return (x2 - x1) * (y2 - y1)


def _image(data: bytes, alt: str, attributes: str, *, kind: str = "jpeg") -> str:
    # A data address: nothing is written to disk, and the old picture stays until the new is drawn.
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return f'<img src="{source}" alt="{escape(alt)}" decoding="sync" {attributes}>'


def _card(number: int, face: FaceEmotion, jpeg: bytes) -> str:
    title = f"Face {number}: {face.emotion}"
    portrait = _image(jpeg, "", 'class="mien-portrait" width="48" height="48"')
    bars = _bars(face.probs, f"Probabilities of face {number}")
    warning = face.warning
    note = f"<p>{escape(warning[0].upper() + warning[1:])}.</p>" if warning else ""
    return f'<section class="mien-card"><h3>{portrait} {escape(title)}</h3>{note}{bars}</section>'


def _track(track: TrackSummary) -> str:
    title = f"Face {track.track_id}: mostly {track.emotion}"
    changes = len(track.changes)
    seen = (
        f"Seen {track.seen_s:.1f} s, from {track.first_s:.1f} s to {track.last_s:.1f} s; "
        f"changed {changes} {'time' if changes == 1 else 'times'}."
    )
    bars = _bars(track.shares, f"Mean probabilities of face {track.track_id}")
    return (
        f'<section class="mien-card"><h3>{escape(title)}</h3><p>{escape(seen)}</p>{bars}</section>'
    )


def _bars(probs: Mapping[str, float], caption: str) -> str:
    """Returns a table of probabilities, the largest first, with a bar each."""
    labels, rows = list(probs), []
    for label, share in sorted(probs.items(), key=lambda pair: -pair[1]):
        bar = f"width:{max(share, 0.004):.1%};background:{label_color(labels, label)}"
        rows.append(
            f'<tr><th scope="row">{escape(label)}</th><td class="mien-bar" aria-hidden="true">'
            f'<span style="{bar}"></span></td><td>{percent(share)}</td></tr>'
        )
    return (
        f'<table class="mien-bars"><caption class="mien-hidden">{escape(caption)}</caption>'
        f"{''.join(rows)}</table>"
    )
