"""What each control of the page calls: a visitor's input in, HTML out.

Gradio hands the inputs over as the browser sent them (``preprocess=False``), so that files are
read, checked and deleted by mien alone.
"""

from __future__ import annotations

import base64
import binascii
import json
import shutil
from typing import TYPE_CHECKING, Any

import gradio as gr  # at run time: Gradio reads the annotations below

from mien.demo import views
from mien.demo.clips import reading_clip
from mien.demo.live import LiveReader
from mien.demo.photo import choose, compare_photo, friendly, read_photo
from mien.errors import InputError, MienError
from mien.hub import ASSETS
from mien.results import ErrorResult

if TYPE_CHECKING:
    from pathlib import Path

    from mien.demo.config import DemoConfig
    from mien.demo.photo import Model
    from mien.demo.uploads import UploadStore

#: The bundled photo, in the public domain.
EXAMPLE = ASSETS / "sample" / "astronaut.jpg"
#: Outputs of the photo tab: None, which empties the field; status, picture, bars, models, JSON.
PhotoOutputs = tuple[None, str, str, str, str, str]
#: Outputs of the clip tab: status, player, timeline and shares, JSON.
ClipOutputs = tuple[str, Any, str, str]
#: What the controls of the photo tab hold, by component.
Controls = dict[Any, Any]
WAITING = views.status("Send a photo, or try the example.")
_NOTHING: PhotoOutputs = (None, WAITING, "", "", "", "")


def payload_bytes(payload: Any, uploads: UploadStore) -> bytes:
    """Returns the bytes of a picture as the browser sends it: an upload, or in the message."""
    given = payload if isinstance(payload, dict) else {}
    for address in (given.get("url"), given.get("path")):
        if isinstance(address, str) and address.startswith("data:"):
            try:
                return base64.b64decode(address.partition(",")[2], validate=True)
            except binascii.Error as error:
                raise InputError("the picture was damaged on its way: send it again.") from error
    if not isinstance(given.get("path"), str):
        raise InputError("there is no picture in this message: send one.")
    return uploads.read(given["path"])


class Handlers:
    """The functions behind the page."""

    def __init__(self, config: DemoConfig, models: dict[str, Model], uploads: UploadStore) -> None:
        self.config, self.models, self.uploads = config, models, uploads

    def new_photo(self, controls: Controls, request: gr.Request) -> PhotoOutputs:
        """Reads a photo that was just sent."""
        session, values = self.uploads.sessions.of(request.session_hash), _by_name(controls)
        session.photo, photo = None, values.pop("photo")
        if photo is None:  # the field was emptied, by this page or by the visitor
            return _NOTHING
        try:
            session.photo = payload_bytes(photo, self.uploads)
        except InputError as error:
            return _failed(error)
        return self._photo(session.photo, **values)

    def example_photo(self, controls: Controls, request: gr.Request) -> PhotoOutputs:
        """Reads the bundled photo."""
        photo = EXAMPLE.read_bytes()
        self.uploads.sessions.of(request.session_hash).photo = photo
        return self._photo(photo, **_by_name(controls))

    def same_photo(self, controls: Controls, request: gr.Request) -> PhotoOutputs:
        """Reads the last photo again, as the controls now stand."""
        photo = self.uploads.sessions.of(request.session_hash).photo
        return _NOTHING if photo is None else self._photo(photo, **_by_name(controls))

    def _photo(
        self, photo: bytes, *, model: str, label: str, explain: bool, compare: bool
    ) -> PhotoOutputs:
        try:
            chosen = choose(self.models, model)
            # A label of the model chosen before may be unknown to this one.
            known = label if label in chosen.recognizer.pipeline.schema else None
            answer = read_photo(chosen, photo, explain=explain, label=known)
            table = views.comparison(compare_photo(self.models, photo)) if compare else ""
        except MienError as error:
            return _failed(error)
        result = answer.result
        return (
            None, views.status(views.sentence(result)), views.photo_figure(answer, known),
            views.face_cards(result, answer.faces), table, result.to_json(indent=1),
        )  # fmt: skip

    def predict(self, photo: Any, model: str) -> dict[str, Any]:
        """Answers a program: a photo to the JSON of the library, or of its error."""
        try:
            data = payload_bytes(photo, self.uploads)
            return read_photo(choose(self.models, model), data).result.to_dict()
        except MienError as error:
            return _error(error, "photo").to_dict()

    def frame(self, frame: Any, model: str, request: gr.Request) -> str:
        """Reads a frame of a camera."""
        if frame is None:
            return ""
        session = self.uploads.sessions.of(request.session_hash)
        try:
            chosen = choose(self.models, model)
            if session.live is None or session.live.model is not chosen:
                session.live = LiveReader(chosen)
            return views.live_view(session.live.read(payload_bytes(frame, self.uploads)))
        except MienError as error:
            return views.problem(friendly(error))

    def clip(
        self,
        clip: Any,
        model: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how Gradio finds it
    ) -> ClipOutputs:
        """Reads a clip: status, annotated copy, timeline and shares, JSON."""
        given = clip.get("video") or clip if isinstance(clip, dict) else {}
        if not isinstance(given.get("path"), str):
            return views.status("Choose a clip first."), _shown(None), "", ""
        path: Path | None = None
        try:
            with self.uploads.using(given["path"]) as path:
                return self._clip(path, choose(self.models, model), progress)
        except MienError as error:
            text = friendly(error, path)
            said = _error(error, "clip", path).to_json(indent=1)
            return views.problem(text), _shown(None), "", said

    def _clip(self, path: Path, model: Model, progress: gr.Progress) -> ClipOutputs:
        reading = reading_clip(
            model, path, uploads=self.uploads, config=self.config,
            progress=lambda share: progress(share, desc="Reading the clip"),
        )  # fmt: skip
        with reading as answer:
            # Within the private folder, for the visitor to play: ten minutes at most.
            shown = self.uploads.new_folder("shown") / "annotated.mp4"
            shutil.move(answer.annotated, shown)
            summary = {**answer.summary.to_dict(), "source": "clip"}
            return (
                views.status(views.clip_sentence(answer)), _shown(shown), views.clip_view(answer),
                json.dumps(summary, indent=1),
            )  # fmt: skip

    def leave(self, request: gr.Request) -> None:
        """Forgets a visitor whose page was closed."""
        self.uploads.sessions.end(request.session_hash)


def _shown(clip: Path | None) -> Any:
    """Returns the player with a clip; without one it is hidden."""
    return gr.Video(value=None if clip is None else str(clip), visible=clip is not None)


def _by_name(controls: Controls) -> dict[str, Any]:
    """Returns the values of components by what follows ``mien-`` in their id on the page."""
    return {part.elem_id.removeprefix("mien-"): value for part, value in controls.items()}


def _error(error: MienError, source: str, path: Path | None = None) -> ErrorResult:
    return ErrorResult(source, friendly(error, path), type(error).__name__)


def _failed(error: MienError) -> PhotoOutputs:
    said = views.problem(friendly(error))
    return None, said, "", "", "", _error(error, "photo").to_json(indent=1)
