"""An app of your own with a page that asks the service, and keeps the key to itself.

Start the service first (``mien serve``), then, with ``pip install "mien[serve,client]"``:
``MIEN_KEY=... uvicorn --app-dir examples/service app:app --port 9000``. Open http://127.0.0.1:9000
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, File, HTTPException, UploadFile
from fastapi.responses import FileResponse

from mien import ErrorResult
from mien.client import AsyncClient, ServiceError

app = FastAPI()


@app.get("/")
def page() -> FileResponse:
    return FileResponse(Path(__file__).with_name("page.html"))


@app.post("/faces")
async def faces(photo: Annotated[UploadFile, File()]) -> list[dict[str, Any]]:
    """Returns box, emotion and confidence of each face of a photo; the key never leaves here."""
    url = os.environ.get("MIEN_URL", "http://127.0.0.1:8000")
    async with AsyncClient(url, os.environ.get("MIEN_KEY")) as client:
        try:
            (result,) = await client.predict(await photo.read())
        except ServiceError as error:
            raise HTTPException(error.status or 502, error.detail) from error
    if isinstance(result, ErrorResult):
        raise HTTPException(422, result.error)
    return [
        {"box": face.box_xyxy, "emotion": face.emotion, "confidence": face.confidence}
        for face in result.faces
    ]
