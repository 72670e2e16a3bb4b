"""The OpenAPI document and its page: what others make of them."""

from __future__ import annotations

import base64
import hashlib
import importlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")

from mien import EmotionRecognizer
from support.service import Server

KEY = "secret"


@pytest.fixture(scope="module")
def locked() -> Iterator[Server]:
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    running = Server("--detector", "none", "--api-keys", digest)
    yield running
    assert running.stop() == 0


@pytest.fixture
def generated(locked: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a client package that openapi-python-client made of the service's document."""
    pytest.importorskip("openapi_python_client")
    document = tmp_path / "openapi.json"
    document.write_text(httpx.get(f"{locked.url}/openapi.json").text)
    package = tmp_path / "generated_mien"
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
    command += ["--path", str(document), "--output-path", str(package), "--fail-on-warning"]
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))  # its ruff
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PATH": path}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.syspath_prepend(str(tmp_path))
    yield package.name
    for name in [name for name in sys.modules if name.startswith(package.name)]:
        del sys.modules[name]


def test_generated_client_knows_the_key_and_the_answers(
    locked: Server, generated: str, photo: bytes
) -> None:
    def module(name: str) -> Any:
        return importlib.import_module(f"{generated}.{name}")

    predict, types, models = (module(n) for n in ("api.pictures.predict", "types", "models"))
    file = types.File(io.BytesIO(photo), "a.jpg", "image/jpeg")
    body = models.PredictFilesBody(images=[file])
    with module("client").AuthenticatedClient(locked.url, KEY) as client:
        face = predict.sync(client=client, body=body, labels="hes3").results[0].faces[0]
        entry = models.ExplainJsonBodyImagesItem(data=base64.b64encode(photo).decode())
        answer = module("api.pictures.explain").sync(
            client=client, body=models.ExplainJsonBody(images=[entry])
        )
    expected = EmotionRecognizer(detector="none", labels="hes3").predict(photo).faces[0]
    assert face.emotion == expected.emotion
    assert face.probs.to_dict() == pytest.approx(dict(expected.probs))
    assert base64.b64decode(answer.maps[0]).startswith(b"\x89PNG")
    with module("client").AuthenticatedClient(locked.url, "wrong") as client:
        problem = module("api.service.models").sync(client=client)
    assert (problem.status, problem.title) == (401, "Unauthorized")


def test_page_works_offline_and_with_a_key(locked: Server) -> None:
    pytest.importorskip("fastapi_offline")
    sync_api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Chromium")
    said: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda request: said.append(request.url))
        page.goto(f"{locked.url}/docs")
        page.click("button.authorize")
        page.fill("#api_key_value", KEY)
        page.locator(".modal-ux button.authorize").last.click()
        page.click(".modal-ux .close-modal")
        page.click("#operations-service-models button.opblock-summary-control")
        page.click("#operations-service-models .try-out__btn")
        page.click("#operations-service-models button.execute")
        answer = page.locator(".live-responses-table .response-col_description code").first
        shown = json.loads(answer.inner_text())
        browser.close()
    assert shown["detectors"] == ["none"]
    # Nothing was loaded from elsewhere, and nothing complained.
    assert [line for line in said if not line.startswith((locked.url, "data:"))] == []
