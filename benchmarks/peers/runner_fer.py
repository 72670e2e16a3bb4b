"""fer, with its own defaults; faces that are cropped already are given as one box without margin.

Its scores are rounded to two digits, which would make ties; what it rounds is read before.
"""

from __future__ import annotations

from typing import Any

from protocol import serve

#: fer's adjectives in the order of its outputs, as the nouns that mien answers in.
LABELS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
NOUNS = {"angry": "anger", "happy": "happiness", "sad": "sadness"}


class Fer:
    labels = LABELS

    def __init__(self) -> None:
        from fer.fer import FER

        self.whole = FER()
        self.crops = FER(offsets=(0, 0))
        classify = self.crops._classify_emotions
        self.kept: list[Any] = []

        def keep(gray_faces: Any) -> Any:
            answer = classify(gray_faces)
            self.kept.extend(answer)
            return answer

        self.crops._classify_emotions = keep

    def read(self, photo: str) -> list[str]:
        names = [
            max(face["emotions"], key=face["emotions"].get)
            for face in self.whole.detect_emotions(photo)
        ]
        return [NOUNS.get(name, name) for name in names]

    def scores(self, faces: Any) -> Any:
        import numpy as np

        self.kept.clear()
        for face in faces:
            height, width = face.shape
            bgr = face[:, :, None].repeat(3, axis=2)
            self.crops.detect_emotions(bgr, face_rectangles=[(0, 0, width, height)])
        if len(self.kept) != len(faces):
            raise SystemExit(f"fer answered {len(self.kept)} of {len(faces)} faces")
        return np.array(self.kept)


if __name__ == "__main__":
    serve(Fer)
