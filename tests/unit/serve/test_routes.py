"""The routes, in this process."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("httpx")

from starlette.testclient import TestClient

from mien import EmotionRecognizer, ErrorResult, ImageResult
from mien.images import decode, encode
from mien.serve import ServeConfig, create_app
from support.serve_routes import _client, wait


@pytest.fixture(scope="module")
def recognizer() -> EmotionRecognizer:
    return EmotionRecognizer(detector="haar")


@pytest.fixture(scope="module")
def photo(photo: bytes) -> bytes:
    """The face and what is around it: in the whole photo the cascade takes seven times as long."""
    return encode(decode(photo)[16:216, 126:326])


@pytest.fixture
def crop(photo: bytes) -> bytes:
    return encode(decode(photo)[50:147, 50:147])


def _faces(result: dict[str, Any]) -> Any:
    return ImageResult.from_dict(result).faces


def test_predict_is_the_library(
    client: TestClient, photo: bytes, recognizer: EmotionRecognizer
) -> None:
    answer = client.post("/v1/predict", files={"images": ("a.jpg", photo)})
    assert answer.status_code == 200
    result = ImageResult.from_dict(answer.json()["results"][0])
    expected = recognizer.predict(photo)
    assert result.faces == expected.faces
    assert (result.source, result.width, result.height) == ("a.jpg", 200, 200)
    assert (result.model, result.detector) == (expected.model, "haar")
    assert set(result.timings_ms) == {"decode", "detect", "crop", "inference"}
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_json_body_answers_the_same(
    client: TestClient, photo: bytes, recognizer: EmotionRecognizer
) -> None:
    body = {"images": [{"data": base64.b64encode(photo).decode(), "name": "a.jpg"}]}
    answer = client.post("/v1/predict", json=body).json()
    assert _faces(answer["results"][0]) == recognizer.predict(photo).faces


def test_ready_crops_are_predict_faces(
    client: TestClient, crop: bytes, photo: bytes, recognizer: EmotionRecognizer
) -> None:
    crops = [crop, photo, encode(decode(crop)[:, :60])]
    files = [("images", (f"{i}.png", data)) for i, data in enumerate(crops)]
    results = client.post("/v1/predict/faces", files=files).json()["results"]
    found = [list(_faces(result)[0].probs.values()) for result in results]
    np.testing.assert_allclose(found, recognizer.predict_faces(crops), atol=1e-6)
    assert [result["source"] for result in results] == ["0.png", "1.png", "2.png"]


def test_options_change_the_answer(client: TestClient, photo: bytes, crop: bytes) -> None:
    def ask(query: str, data: bytes = photo) -> Any:
        return client.post(f"/v1/predict?{query}", files={"images": ("a", data)}).json()["results"]

    assert list(ask("labels=hes3")[0]["faces"][0]["probs"]) == ["angry", "happy", "sad"]
    assert ask("min_face=300")[0]["faces"] == []
    plain, other = ask("")[0], ask("prior=fear%3D0.9")[0]
    assert "prior" not in plain
    assert other["prior"]["fear"] == pytest.approx(0.9)
    assert other["faces"][0]["probs"]["fear"] > plain["faces"][0]["probs"]["fear"]
    whole = ask("detector=none", crop)[0]
    assert whole["detector"] == "none"
    assert whole["faces"][0]["box_xyxy"] == [0, 0, 97, 97]
    top = ask("top_k=2")[0]["faces"][0]
    assert len(top["probs"]) == 2
    assert top["emotion"] == next(iter(top["probs"]))


def test_one_bad_picture_among_several_is_its_own_result(client: TestClient, crop: bytes) -> None:
    files = [("images", ("notes.txt", b"text")), ("images", ("a.png", crop))]
    for route in ("/v1/predict?detector=none", "/v1/predict/faces"):
        answer = client.post(route, files=files)
        assert answer.status_code == 200
        bad, good = answer.json()["results"]
        assert ErrorResult.from_dict(bad).error.startswith("notes.txt is not a picture")
        assert len(good["faces"]) == 1


@pytest.mark.parametrize(
    ("route", "words"),
    [
        ("/v1/predict?model=other", "Known: default"),
        ("/v1/predict?detector=yunet:/etc/passwd", "Known: haar, none"),
        ("/v1/predict?labels=hes4", "hes3"),
        ("/v1/predict?min_face=0", "min_face"),
        ("/v1/predict?top_k=many", "top_k"),
        ("/v1/predict?include_map=perhaps", "include_map"),
        ("/v1/predict?lables=hes3", "lables"),
        ("/v1/predict/faces?detector=none", "detector"),
    ],
)
def test_wrong_option_is_a_problem(client: TestClient, crop: bytes, route: str, words: str) -> None:
    answer = client.post(route, files={"images": ("a.png", crop)})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]
    assert set(answer.json()) >= {"type", "title", "status", "detail", "request_id"}


@pytest.mark.parametrize(
    ("method", "path", "kind", "body", "status"),
    [
        ("POST", "/v1/predict", "text/plain", b"x", 415),
        ("POST", "/v1/predict", "", b"x", 415),
        ("POST", "/v1/predict", "application/json", b"{", 422),
        ("POST", "/v1/predict", "application/json", b'{"images": []}', 422),
        ("POST", "/v1/predict", "image/jpeg", b"\xff\xd8", 415),
        ("POST", "/v1/predict", "application/json", b"[" * 4_000_001, 413),
        ("GET", "/v1/predict", "", b"", 405),
        ("GET", "/v1/nothing", "", b"", 404),
        ("GET", "/../../etc/passwd", "", b"", 404),
        ("POST", "/healthz", "", b"", 405),
    ],
)
def test_wrong_request_is_a_problem(
    client: TestClient, method: str, path: str, kind: str, body: bytes, status: int
) -> None:
    headers = {"content-type": kind} if kind else {}
    answer = client.request(method, path, content=body, headers=headers)
    assert answer.status_code == status
    assert answer.json()["status"] == status
    assert "Traceback" not in answer.text


def test_headers_are_safe_and_request_id_is_kept(client: TestClient) -> None:
    answer = client.get("/healthz", headers={"x-request-id": "abc-1"})
    assert answer.headers["x-request-id"] == "abc-1"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "access-control-allow-origin" not in answer.headers
    forged = client.get("/healthz", headers={"x-request-id": 'a" b\\'})
    assert len(forged.headers["x-request-id"]) == 32


def test_models_are_listed_and_metrics_count(client: TestClient, crop: bytes) -> None:
    listed = client.get("/v1/models").json()
    assert listed["detectors"] == ["haar", "none"]
    assert listed["models"][0]["name"] == "default"
    assert {"ferplus8", "hes3"} <= set(listed["models"][0]["schemas"])
    client.post("/v1/predict/faces", files={"images": ("a.png", crop)})
    client.post("/v1/predict", files={"images": ("a.png", crop)})
    client.post("/v1/predict?labels=none", files={"images": ("a.png", crop)})
    client.post("/v1/predict", content=b"x", headers={"content-type": "text/plain"})
    text = client.get("/metrics").text
    for reason in ("unusable", "type"):
        assert f'mien_rejections_total{{reason="{reason}"}}' in text
    for step in ("decode", "batch"):
        assert f'mien_wait_seconds_count{{step="{step}"}}' in text
    assert 'mien_model_seconds_count{model="default"}' in text
    assert 'mien_detector_seconds_count{detector="haar"}' in text
    assert 'detector="none"' not in text
    assert 'mien_requests_total{route="/v1/predict/faces",status="200"}' in text
    assert 'mien_faces_total{model="default"}' in text
    assert "mien_queue_pictures 0.0" in text
    assert "mien_batch_faces_bucket" in text


def test_not_ready_until_warm() -> None:
    app = create_app(ServeConfig())
    cold = TestClient(app)  # without its life: nothing is loaded
    assert cold.get("/healthz").status_code == 200
    for answer in (
        cold.get("/readyz"),
        cold.get("/v1/models"),
        cold.post("/v1/predict", files={"images": b"x"}),
    ):
        assert answer.status_code == 503
        assert answer.headers["retry-after"]


def test_keys_lock_everything_but_health(photo: bytes) -> None:
    key = hashlib.sha256(b"secret").hexdigest()
    with _client(api_keys=(f"ann:{key}",)) as locked:
        assert locked.get("/healthz").status_code == 200
        for path in ("/v1/models", "/metrics", "/docsx"):
            assert locked.get(path).status_code == 401
            assert locked.get(path, headers={"x-api-key": "wrong"}).status_code == 401
        # What the documents say is no secret, and a browser could not send the key.
        assert locked.get("/docs").status_code == 200
        document = locked.get("/openapi.json").json()
        assert document["components"]["securitySchemes"]["header"]["name"] == "X-API-Key"
        predict = document["paths"]["/v1/predict"]["post"]
        assert predict["security"] == [{"bearer": []}, {"header": []}]
        assert "security" not in document["paths"]["/healthz"]["get"]
        wait(locked)
        assert locked.get("/v1/models", headers={"x-api-key": "secret"}).status_code == 200
        bearer = {"authorization": "Bearer secret"}
        assert locked.get("/v1/models", headers=bearer).status_code == 200


@pytest.mark.parametrize("stripped", [True, False])
def test_proxy_may_put_a_path_in_front(stripped: bool) -> None:
    key = hashlib.sha256(b"secret").hexdigest()
    with _client(root_path="/mien", api_keys=(key,)) as behind:
        front = "" if stripped else "/mien"
        assert behind.get(f"{front}/healthz").status_code == 200
        assert behind.get(f"{front}/v1/models").status_code == 401
        assert 'src="/mien/docs/swagger-ui-bundle.js"' in behind.get(f"{front}/docs").text
        document = behind.get(f"{front}/openapi.json").json()
        assert document["servers"] == [{"url": "/mien"}]
        text = behind.get("/metrics", headers={"x-api-key": "secret"}).text
        assert 'mien_requests_total{route="/v1/models",status="401"} 1.0' in text


def test_documents_come_from_here(client: TestClient) -> None:
    pytest.importorskip("fastapi_offline")
    page = client.get("/docs")
    for source in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert source.startswith("/docs/")
        assert client.get(source).status_code == 200
    assert "'unsafe-inline'" not in page.headers["content-security-policy"].split("style-src")[0]
    assert client.get("/docs/../app.py").status_code == 404
    assert client.get("/docs/core.py").status_code == 404


def test_rate_is_limited_by_client() -> None:
    with _client(rate=0.5, burst=2) as limited:
        wait(limited)
        codes = [limited.get("/v1/models").status_code for _ in range(3)]
        assert codes == [200, 200, 429]
        assert int(limited.get("/v1/models").headers["retry-after"]) >= 1
        assert limited.get("/healthz").status_code == 200


def test_cors_is_for_named_origins_only() -> None:
    origin = "https://app.example"
    asked = {"origin": origin, "access-control-request-method": "POST"}
    with _client(cors_origin=(origin,)) as opened:
        assert opened.options("/v1/predict", headers=asked).headers[
            "access-control-allow-origin"
        ] == origin  # fmt: skip
        other = opened.get("/healthz", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers


def test_upload_is_never_written_to_disk(client: TestClient, photo: bytes) -> None:
    opened: list[str] = []
    watching = [True]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        writes = event == "open" and (arguments[2] & 0x3 or (arguments[1] or "r")[0] in "wax")
        if watching and writes:
            opened.append(str(arguments[0]))
        if watching and event.startswith("tempfile."):
            opened.append(event)

    sys.addaudithook(hook)
    # The control: Starlette's own form parser spools uploads above 1 MB to a file.
    from tempfile import SpooledTemporaryFile

    with SpooledTemporaryFile(max_size=10) as spool:
        spool.write(b"more than ten bytes")
    assert opened
    opened.clear()
    large = photo + bytes(3_000_000)
    answer = client.post("/v1/predict?detector=none", files={"images": ("a.jpg", large)})
    body = {"images": [{"data": base64.b64encode(large[:2_500_000]).decode()}]}
    again = client.post("/v1/predict?detector=none", json=body)
    watching.clear()
    assert answer.status_code == again.status_code == 200
    assert opened == []


def test_log_has_no_name_and_no_content(
    client: TestClient, crop: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    from mien.serve.telemetry import JsonFormatter

    with caplog.at_level(logging.INFO, "mien.serve"):
        client.post("/v1/predict/faces", files={"images": ("secret-name.png", crop)})
    lines = [JsonFormatter().format(record) for record in caplog.records]
    line = json.loads(lines[-1])
    assert (line["event"], line["route"], line["status"]) == ("request", "/v1/predict/faces", 200)
    assert line["pictures"] == 1
    assert "secret-name" not in "".join(lines)


def test_openapi_is_the_snapshot() -> None:
    """After a wanted change: ``python scripts/snapshots.py``."""
    snapshot = json.loads(Path(__file__).with_name("openapi.json").read_text(encoding="utf-8"))
    assert create_app(ServeConfig()).openapi() == snapshot
