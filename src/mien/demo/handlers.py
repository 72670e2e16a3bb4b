"""What each control of the page calls: a visitor's input in, HTML out.

Gradio hands the inputs over as the browser sent them (``preprocess=False``), so that files are
read, checked and deleted by mien alone.
"""

from __future__ import annotations

import base64
import binascii
import json
import shutil
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import gradio as gr  # at run time: Gradio reads the annotations below

from mien.demo import words
from mien.demo.clips import reading_clip
from mien.demo.live import LiveReader
from mien.demo.models import choose
from mien.demo.photo import compare_photo, friendly, read_photo
from mien.errors import InputError, MienError
from mien.results import ErrorResult

if TYPE_CHECKING:
    from pathlib import Path

    from mien.demo.config import DemoConfig
    from mien.demo.keeping import Keeper
    from mien.demo.models import Model

#: Outputs of the photo tab: status, picture, bars, comparison, JSON.
PhotoOutputs = tuple[str, str, str, str, str]
_WAITING = words.status("Send a photo, or try the example.")
_NOTHING: PhotoOutputs = (_WAITING, "", "", "", "")


def payload_bytes(payload: Any, keeper: Keeper) -> bytes:
    """Returns the bytes of a picture as the browser sends it: an upload, or a frame in the message.

    Raises:
        InputError: If it is neither.
    """
    given = payload if isinstance(payload, dict) else {}
    for key in ("url", "path"):
        address = given.get(key)
        if isinstance(address, str) and address.startswith("data:"):
            try:
                return base64.b64decode(address.partition(",")[2], validate=True)
            except binascii.Error as error:
                raise InputError("the picture was damaged on its way: send it again.") from error
    path = given.get("path")
    if not isinstance(path, str):
        raise InputError("there is no picture in this message: send one.")
    return keeper.read(path)


class Handlers:
    """The functions behind the page.

    Args:
        config: The settings.
        models: The models by name.
        keeper: The private folder and the visits.
    """

    def __init__(self, config: DemoConfig, models: dict[str, Model], keeper: Keeper) -> None:
        self.config, self.models, self.keeper = config, models, keeper

    def new_photo(
        self,
        photo: Any,
        model: str,
        label: str,
        explain: bool,  # noqa: FBT001
        compare: bool,  # noqa: FBT001
        request: gr.Request,
    ) -> PhotoOutputs:
        """Reads a photo that was just sent."""
        visit = self.keeper.visits.of(request.session_hash)
        visit.photo = None
        if photo is None:
            return _NOTHING
        try:
            visit.photo = payload_bytes(photo, self.keeper)
        except InputError as error:
            return _failed(error)
        return self._photo(visit.photo, model, label, explain=explain, compare=compare)

    def example_photo(
        self,
        model: str,
        label: str,
        explain: bool,  # noqa: FBT001
        compare: bool,  # noqa: FBT001
        request: gr.Request,
    ) -> PhotoOutputs:
        """Reads the bundled photo."""
        photo = example().read_bytes()
        self.keeper.visits.of(request.session_hash).photo = photo
        return self._photo(photo, model, label, explain=explain, compare=compare)

    def same_photo(
        self,
        model: str,
        label: str,
        explain: bool,  # noqa: FBT001
        compare: bool,  # noqa: FBT001
        request: gr.Request,
    ) -> PhotoOutputs:
        """Reads the last photo again, as the controls now stand."""
        photo = self.keeper.visits.of(request.session_hash).photo
        if photo is None:
            return _NOTHING
        return self._photo(photo, model, label, explain=explain, compare=compare)

    def _photo(
        self, photo: bytes, name: str, label: str, *, explain: bool, compare: bool
    ) -> PhotoOutputs:
        try:
            model = choose(self.models, name)
            # A label of the model chosen before may be unknown to this one.
            known = label if label in model.recognizer.pipeline.schema else None
            answer = read_photo(model, photo, explain=explain, label=known)
            table = words.comparison(compare_photo(self.models, photo)) if compare else ""
        except MienError as error:
            return _failed(error)
        return (
            words.status(words.sentence(answer.result)), words.photo_figure(answer),
            words.face_cards(answer.result, answer.faces), table, answer.result.to_json(indent=1),
        )  # fmt: skip

    def predict(self, photo: Any, model: str) -> dict[str, Any]:
        """Answers a program: a photo to the JSON of the library, or of its error."""
        try:
            data = payload_bytes(photo, self.keeper)
            return read_photo(choose(self.models, model), data).result.to_dict()
        except MienError as error:
            return _error(error, "photo").to_dict()

    def frame(self, frame: Any, model: str, request: gr.Request) -> str:
        """Reads a frame of a camera."""
        if frame is None:
            return ""
        visit = self.keeper.visits.of(request.session_hash)
        try:
            chosen = choose(self.models, model)
            if visit.live is None or visit.live.model is not chosen:
                visit.live = LiveReader(chosen)
            return words.live_view(visit.live.read(payload_bytes(frame, self.keeper)))
        except InputError as error:
            return words.problem(friendly(error))

    def clip(
        self,
        clip: Any,
        model: str,
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - how Gradio finds it
    ) -> tuple[str, str | None, str, str]:
        """Reads a clip: status, annotated copy, timeline and shares, JSON."""
        given = clip.get("video", clip) if isinstance(clip, dict) else {}
        if not isinstance(given.get("path"), str):
            return words.status("Choose a clip first."), None, "", ""
        path: Path | None = None
        try:
            with self.keeper.using(given["path"]) as path:
                return self._clip(path, choose(self.models, model), progress)
        except MienError as error:
            text = friendly(error, path)
            return words.problem(text), None, "", _error(error, "clip", path).to_json(indent=1)

    def _clip(
        self, path: Path, model: Model, progress: gr.Progress
    ) -> tuple[str, str | None, str, str]:
        reading = reading_clip(
            model, path, keeper=self.keeper, config=self.config,
            progress=lambda share: progress(share, desc="Reading the clip"),
        )  # fmt: skip
        with reading as answer:
            # Within the private folder, for the visitor to play: ten minutes at most.
            shown = self.keeper.new_folder("shown") / "annotated.mp4"
            shutil.move(answer.annotated, shown)
            summary = {**answer.summary.to_dict(), "source": "clip"}
            return (
                words.status(words.clip_sentence(answer)), str(shown), words.clip_view(answer),
                json.dumps(summary, indent=1),
            )  # fmt: skip

    def leave(self, request: gr.Request) -> None:
        """Forgets a visitor whose page was closed."""
        self.keeper.visits.end(request.session_hash)


def example() -> Any:
    """Returns the bundled photo, in the public domain."""
    return files("mien").joinpath("assets", "sample", "astronaut.jpg")


def _error(error: MienError, source: str, path: Path | None = None) -> ErrorResult:
    return ErrorResult(source, friendly(error, path), type(error).__name__)


def _failed(error: MienError) -> PhotoOutputs:
    return words.problem(friendly(error)), "", "", "", _error(error, "photo").to_json(indent=1)
