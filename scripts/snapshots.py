"""Rewrites the OpenAPI snapshot and the documents' examples from a running application.

Usage: ``python scripts/snapshots.py``
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx

from mien.serve import ServeConfig, create_app

ROOT = Path(__file__).resolve().parents[1]
SNAPSHOT = ROOT / "tests/unit/serve/openapi.json"
EXAMPLES = ROOT / "src/mien/serve/examples.json"
PHOTO = ROOT / "src/mien/assets/sample/astronaut.jpg"
REQUEST_ID = "0f8fad5bd9cb469fa16570867728950e"


def dump(value: Any) -> str:
    """Returns JSON as the files hold it."""
    return json.dumps(value, indent=2) + "\n"


def _rounded(value: Any) -> Any:
    """Five digits: the last ones differ between processors."""
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    return value


async def examples() -> dict[str, Any]:
    """Asks a real application and returns its answers."""
    app = create_app(ServeConfig())
    photo = PHOTO.read_bytes()
    headers = {"x-request-id": REQUEST_ID}
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://mien") as client:
            while (await client.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.05)
            files = {"images": ("astronaut.jpg", photo)}
            answers = {
                "predict": await client.post("/v1/predict", files=files, headers=headers),
                "faces": await client.post("/v1/predict/faces", files=files, headers=headers),
                "explain": await client.post("/v1/explain", files=files, headers=headers),
                "models": await client.get("/v1/models"),
                "health": await client.get("/healthz"),
                "ready": await client.get("/readyz"),
                "problem": await client.post(
                    "/v1/predict", headers=headers, files={"images": ("notes.txt", b"no picture")}
                ),
            }
    found = {name: _rounded(answer.json()) for name, answer in answers.items()}
    del found["problem"]["results"]
    found["explain"]["maps"] = ["iVBORw0KGgo="]  # the beginning of a PNG, in base64
    found["clip"] = {"id": "Zr0wLk3", "status": "reading", "read_s": 1.2, "length_s": 9.5}
    pixel = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
    return {**found, "body": {"images": [{"name": "pixel.gif", "data": pixel}]}}


def openapi() -> dict[str, Any]:
    """Returns the schema of the service."""
    return create_app(ServeConfig()).openapi()


if __name__ == "__main__":
    EXAMPLES.write_text(dump(asyncio.run(examples())))
    # The schema holds the examples, which are read when the module is imported: a fresh process.
    import subprocess
    import sys

    code = "import snapshots as m; m.SNAPSHOT.write_text(m.dump(m.openapi()))"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT / "scripts")  # noqa: S603
