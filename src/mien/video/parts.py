"""What an unfinished run has done so far: pieces on disk and a state that points at them.

A run works in pieces of a few seconds. Each ends with a piece of annotated video, a piece of the
timeline and the portraits; ``state.json`` is replaced last. So whatever stops a run, the state
names only files that are whole, and a run that goes on from it does what the first would have
done: the state holds every number that the next frame's answer depends on.
"""

from __future__ import annotations

import json
import shutil
import zlib
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mien import __version__
from mien.atomic import replacing, write_text
from mien.errors import ConfigError
from mien.video.reading import Clip, Mark
from mien.video.timeline import timeline_header, write_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mien.arrays import U8
    from mien.recognizer import EmotionRecognizer
    from mien.video.config import VideoConfig

#: Folder of the pieces, inside the folder of the results.
PARTS = ".parts"
_STATE = "state.json"
_ENDS = 65536


@dataclass
class Progress:
    """How far a run is, as its state file says."""

    #: Time of the first frame of each piece, in the clip's units.
    pieces: list[int] = field(default_factory=list)
    #: The last frame that is done, and its time.
    mark: Mark | None = None
    end_s: float = 0.0
    #: Frames that are done, and those of them that were read for faces.
    frames: int = 0
    frames_read: int = 0
    #: Packets of the clip that could not be read.
    damaged: int = 0
    #: State of the :class:`mien.video.VideoRecognizer`.
    faces: Mapping[str, Any] | None = None
    #: How good the portrait of each face is.
    portraits: dict[int, float] = field(default_factory=dict)
    #: Where the label of each face stood last; see ``draw_faces``.
    places: dict[int, list[int]] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> Progress:
        """Reads the form of ``asdict`` after JSON."""
        progress = cls(**state)
        progress.mark = None if state["mark"] is None else Mark(**state["mark"])
        for name in ("portraits", "places"):
            setattr(progress, name, {int(key): value for key, value in state[name].items()})
        return progress


class Parts:
    """The pieces of one run in the folder of its results; for ``identity`` see below."""

    def __init__(self, output: Path, identity: Mapping[str, Any]) -> None:
        self.folder = output / PARTS
        self._identity = json.loads(json.dumps(identity))

    def begin(self, *, overwrite: bool) -> Progress:
        """Returns how far an earlier run of the same identity came; else a fresh start."""
        path = self.folder / _STATE
        if overwrite or not path.is_file():
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            return Progress()
        try:
            state = json.loads(path.read_text(encoding="utf-8"))
            if state.pop("identity") == self._identity:
                return Progress.from_dict(state)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            hint = "Type --overwrite to start again."
            raise ConfigError(f"is damaged ({error})", subject=path, hint=hint) from error
        reason = "holds an unfinished run of another clip, model or setting"
        hint = "Give another folder, or type --overwrite to drop it."
        raise ConfigError(reason, subject=self.folder.parent, hint=hint)

    def piece(self, number: int, suffix: str = ".mp4") -> Path:
        """Returns the file of a piece: its video, or its rows of the timeline (``.csv``)."""
        return self.folder / f"{number:06}{suffix}"

    def portrait(self, track_id: int) -> Path:
        """Returns the file of a face's portrait."""
        return self.folder / f"face-{track_id:06}.png"

    def save(
        self,
        progress: Progress,
        rows: Sequence[Sequence[Any]],
        faces: Mapping[int, U8],
        labels: Sequence[str],
    ) -> None:
        """Writes what belongs to the newest piece, then the state."""
        from PIL import Image

        write_rows(self.piece(len(progress.pieces) - 1, ".csv"), timeline_header(labels), rows)
        for track_id, face in faces.items():
            with replacing(self.portrait(track_id)) as temporary:
                Image.fromarray(face).save(temporary, format="png")
        state = {"identity": self._identity, **asdict(progress)}
        write_text(self.folder / _STATE, json.dumps(state))

    def clear(self) -> None:
        """Removes the pieces of a run that is finished."""
        shutil.rmtree(self.folder, ignore_errors=True)


def identity_of(
    clip: Clip, recognizer: EmotionRecognizer, config: VideoConfig, tracker: str
) -> dict[str, Any]:
    """Returns what the answers depend on: the clip's bytes, the networks, every setting."""
    size = clip.path.stat().st_size
    with clip.path.open("rb") as stream:
        head = zlib.crc32(stream.read(_ENDS))
        stream.seek(max(size - _ENDS, 0))
        tail = zlib.crc32(stream.read(_ENDS))
    model, pipeline = recognizer.config, recognizer.pipeline
    return {
        "mien": __version__, "clip": [size, head, tail], "model": model.name,
        "weights": sorted(str(entry.get("sha256", "")) for entry in model.files.values()),
        "labels": list(recognizer.labels), "backend": pipeline.backend.name,
        "detector": pipeline.detector.fingerprint, "tracker": tracker, "config": config.to_dict(),
        "prior": pipeline.shares,
    }  # fmt: skip
