"""mien as installed from its wheel; with ``--model`` also the stand-ins."""

from __future__ import annotations

from typing import Any

from protocol import serve


class Mien:
    def __init__(self, model: str | None = None) -> None:
        from mien import EmotionRecognizer

        self.recognizer = EmotionRecognizer(model, labels="fer7", batch_size=32)
        self.labels = self.recognizer.labels

    def read(self, photo: str) -> list[str]:
        return [face.emotion for face in self.recognizer.predict(photo).faces]

    def scores(self, faces: Any) -> Any:
        return self.recognizer.predict_faces(list(faces))


if __name__ == "__main__":
    serve(Mien)
