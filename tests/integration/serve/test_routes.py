"""The routes, in this process."""

from __future__ import annotations

import base64

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from starlette.testclient import TestClient

from mien import EmotionRecognizer, ImageResult
from mien.images import decode
from support.serve_routes import _client, wait


def test_explain_draws_a_map(client: TestClient, photo: bytes) -> None:
    answer = client.post("/v1/explain", files={"images": ("a.jpg", photo)})
    drawn = decode(base64.b64decode(answer.json()["maps"][0]))
    assert drawn.shape == (512, 512, 3)
    changed = np.abs(drawn.astype(int) - decode(photo)).max(axis=2) > 20
    assert changed[66:163, 176:273].mean() > 0.1
    result = ImageResult.from_dict(answer.json()["results"][0])
    assert (result.source, result.faces[0].emotion) == ("a.jpg", "happiness")
    # Many faces make a result that no proxy would let through as a header.
    assert sum(map(len, answer.headers.values())) < 1000
    alone = client.post(
        "/v1/explain", files={"images": ("a.jpg", photo)}, headers={"accept": "image/png"}
    )
    assert alone.headers["content-type"] == "image/png"
    np.testing.assert_array_equal(decode(alone.content), drawn)
    both = client.post("/v1/predict?include_map=true", files={"images": ("a.jpg", photo)}).json()
    assert decode(base64.b64decode(both["maps"][0])).shape == (512, 512, 3)
    wrong = client.post("/v1/explain?label=joyy", files={"images": ("a.jpg", photo)})
    assert wrong.status_code == 422
    bad = client.post("/v1/explain", files={"images": ("a.jpg", b"x")})
    assert bad.status_code == 422
    # What maps cost counts in the queue, so that a full service refuses them in time.
    assert client.app.state.engine.queue.cost_s["map"] > 0  # type: ignore[attr-defined]


def test_several_models_answer_in_one_process_each_as_in_the_library(photo: bytes) -> None:
    names = {"a": "mienet_s.faces8", "b": "mienet_s.ferplus8"}
    models = tuple(f"{name}={model}" for name, model in names.items())
    with _client(model=models, detector=("none",)) as several:
        wait(several)
        listed = several.get("/v1/models").json()["models"]
        assert {entry["name"]: entry["model"] for entry in listed} == names
        probs = []
        for name, model in names.items():
            answer = several.post(f"/v1/predict?model={name}", files={"images": ("a.jpg", photo)})
            result = ImageResult.from_dict(answer.json()["results"][0])
            expected = EmotionRecognizer(model, detector="none").predict(photo)
            assert result.model == model
            assert result.faces == expected.faces
            probs.append(result.faces[0].probs)
        assert probs[0] != probs[1]
        text = several.get("/metrics").text
        assert all(f'mien_model_seconds_count{{model="{name}"}}' in text for name in names)
