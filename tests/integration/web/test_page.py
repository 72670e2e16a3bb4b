"""The page in a browser: the same answers as the library, and no byte that leaves."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from mien import EmotionRecognizer
from mien.hub import ASSETS, write_config
from mien.results import ImageResult
from mien.web import build_page
from support.accessibility import check_walk, violations

if TYPE_CHECKING:
    from mien.web import Page

SAMPLE = ASSETS / "sample" / "astronaut.jpg"
READY = "html[data-state=ready]"
PATIENCE_MS = 120_000


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        pass


@contextmanager
def _serve(built: Page) -> Iterator[str]:
    """Serves a page two folders below the root, so only relative paths work."""
    handler = partial(_Quiet, directory=str(built.path.parents[1]))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        place = built.path.relative_to(built.path.parents[1]).as_posix()
        yield f"http://127.0.0.1:{server.server_address[1]}/{place}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def address(built: Page) -> Iterator[str]:
    """Where the page with the bundled model is served."""
    with _serve(built) as address:
        yield address


@pytest.fixture(scope="module")
def launch() -> Iterator[Any]:
    """Starts browsers: ``launch(*arguments)``."""
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("needs chromium")
    always = ["--no-sandbox", "--disable-gpu"]
    with api.sync_playwright() as playwright:
        opened = []

        def start(*arguments: str) -> Any:
            browser = playwright.chromium.launch(
                executable_path=chromium, args=[*always, *arguments]
            )
            opened.append(browser)
            return browser

        yield start
        for browser in opened:
            browser.close()


@pytest.fixture(scope="module")
def browser(launch: Any) -> Any:
    return launch()


class _Visit:
    """An opened page with all that it asked for and complained of."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.requests: list[str] = []
        self.troubles: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("console", self._note)
        self.page.goto(address)
        self.page.wait_for_selector(READY)

    def _note(self, message: Any) -> None:
        # The page tries the lock it has just closed; browsers report that.
        if message.type == "error" and "data:," not in message.text:
            self.troubles.append(message.text)

    def read(self, file: Path | dict[str, Any]) -> ImageResult:
        """Opens a photo as a visitor would, and returns the answer."""
        self.page.set_input_files("#file", file)
        return self.answer()

    def answer(self) -> ImageResult:
        self.page.wait_for_selector(READY)
        return ImageResult.from_json(self.page.text_content("#json"))

    def crops(self) -> np.ndarray:
        """What the page says that the model saw: (N, S, S) grey levels."""
        script = """Array.from(document.querySelectorAll(".face canvas"), (canvas) => {
            const { width, height } = canvas;
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            return Array.from({ length: height }, (_, y) =>
                Array.from({ length: width }, (_, x) => data[4 * (y * width + x)]));
        })"""
        return np.array(self.page.evaluate(script), float)


@pytest.fixture(scope="module")
def visit(browser: Any, address: str) -> _Visit:
    return _Visit(browser, address, viewport={"width": 1280, "height": 900})


@pytest.fixture(scope="module")
def recognizer() -> EmotionRecognizer:
    return EmotionRecognizer(threads=1)


def _same(visit: _Visit, recognizer: EmotionRecognizer, file: Path | dict[str, Any]) -> Any:
    """Reads a photo by both ways and checks that they agree; returns the library's answer."""
    photo = file if isinstance(file, Path) else file["buffer"]
    expected, found = recognizer.predict(photo), visit.read(file)
    assert (found.width, found.height) == (expected.width, expected.height)
    assert (found.model, found.detector) == (expected.model, expected.detector)
    assert len(found.faces) == len(expected.faces) > 0
    for one, other in zip(found.faces, expected.faces, strict=True):
        np.testing.assert_allclose(one.box_xyxy, other.box_xyxy, atol=2)
        assert one.landmarks is not None
        assert other.landmarks is not None
        np.testing.assert_allclose(one.landmarks, other.landmarks, atol=2)
        assert one.detection_score == pytest.approx(other.detection_score, abs=0.01)
        # Int8 rounds a hundredth of a grey level to a step of the next layer or not: where two
        # labels are as probable, a probability moves by up to 0.014.
        assert dict(one.probs) == pytest.approx(dict(other.probs), abs=0.02)
        assert list(one.probs) == list(other.probs)
        assert one.prediction_set == other.prediction_set
        assert one.quality_flags == other.quality_flags
    # Where all probability is on one label it hides much; the pixels do not.
    crops = recognizer.pipeline.prepare(photo).crops
    assert crops is not None
    levels = np.abs(visit.crops() - crops[..., 0])
    assert levels.mean() < 0.5
    pairs = list(zip(found.faces, expected.faces, strict=True))
    probs = max(abs(a.probs[label] - b.probs[label]) for a, b in pairs for label in a.probs)
    sides = max(np.abs(np.subtract(a.box_xyxy, b.box_xyxy)).max() for a, b in pairs)
    logging.getLogger(__name__).info(
        "%s: %d faces, probability %.5f, box %.4f px, grey level mean %.4f, most %d",
        found.source, len(pairs), probs, sides, levels.mean(), levels.max(),
    )  # fmt: skip
    return expected


def test_photo_reads_as_in_the_library(visit: _Visit, recognizer: EmotionRecognizer) -> None:
    assert len(_same(visit, recognizer, SAMPLE).faces) == 1
    assert visit.answer().source == "astronaut.jpg"
    assert visit.page.text_content("#status") == "1 face: happiness 99%."
    rows = visit.page.locator(".face tr").all_text_contents()
    assert len(rows) == 8
    assert rows[0] == "happiness99%"
    assert visit.page.locator(".face tr:visible").count() == 2, "the unlikely ones are folded away"
    visit.page.click(".face summary")
    assert visit.page.locator(".face tr:visible").count() == 8


def test_photo_of_five_reads_as_in_the_library(
    visit: _Visit, recognizer: EmotionRecognizer, shared: Path
) -> None:
    photo = shared / "data" / "media" / "multi_face.jpg"
    assert len(_same(visit, recognizer, photo).faces) == 5
    assert visit.page.locator(".face").count() == 5


def _file(name: str, image: Image.Image, **options: Any) -> dict[str, Any]:
    buffer = io.BytesIO()
    image.save(buffer, **options)
    return {"name": name, "mimeType": "application/octet-stream", "buffer": buffer.getvalue()}


def _cases() -> dict[str, dict[str, Any]]:
    sample = Image.open(SAMPLE).convert("RGB")
    turned = sample.crop((0, 0, 512, 400)).transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    small = sample.resize((200, 200))
    large = sample.resize((1900, 1900))
    faded = sample.resize((420, 420))
    faded.putalpha(Image.linear_gradient("L").resize(faded.size))
    # A colour profile that takes red for blue: neither way applies it.
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace(b"rXYZ", b"0000").replace(b"bXYZ", b"rXYZ").replace(b"0000", b"bXYZ")
    return {
        "profile": _file("profile.jpg", sample, format="JPEG", icc_profile=profile),
        "turned": _file("turned.jpg", turned, format="JPEG", quality=90, exif=exif),
        "small": _file("small.png", small, format="PNG"),
        "large": _file("large.jpg", large, format="JPEG", quality=85),
        "cut": _file("cut.png", sample.crop((200, 90, 512, 400)), format="PNG"),
        "faded": _file("faded.png", faded, format="PNG"),
        "gray": _file("gray.jpg", sample.convert("L"), format="JPEG"),
    }


def test_a_prior_of_the_models_own_is_answered_for(
    browser: Any, engine: Path, recognizer: EmotionRecognizer, tmp_path: Path
) -> None:
    bundled = recognizer.folder
    shutil.copytree(bundled.path, tmp_path / "model")
    config, count = bundled.config, len(bundled.config.schema)
    assert config.prior is not None
    own = replace(config.prior, own=(1 / count,) * count)
    write_config(tmp_path / "model", replace(config, prior=own))
    page = build_page(tmp_path / "some" / "place", tmp_path / "model", runtime=engine)
    expected = EmotionRecognizer(tmp_path / "model", threads=1)
    with _serve(page) as address:
        visit = _Visit(browser, address)
        result = _same(visit, expected, SAMPLE)
        assert dict(visit.answer().prior or {}) == dict(result.prior)
    assert result.faces[0].probs != recognizer.predict(SAMPLE).faces[0].probs


@pytest.mark.parametrize("case", ["profile", "turned", "small", "large", "cut", "faded", "gray"])
def test_odd_photos_read_as_in_the_library(
    visit: _Visit, recognizer: EmotionRecognizer, case: str
) -> None:
    _same(visit, recognizer, _cases()[case])


def test_picture_without_a_face_and_junk_are_answered(visit: _Visit) -> None:
    plain = _file("plain.png", Image.new("RGB", (80, 60), "white"), format="PNG")
    assert visit.read(plain).faces == ()
    assert visit.page.text_content("#status") == "No face was found."
    assert not visit.page.is_visible("#error")
    junk = {"name": "junk.jpg", "mimeType": "image/jpeg", "buffer": b"this is no picture"}
    visit.page.set_input_files("#file", junk)
    visit.page.wait_for_selector("#error:visible")
    assert "junk.jpg is no picture that this browser can read" in visit.page.text_content("#error")
    visit.page.set_input_files("#file", {**junk, "name": "empty.png", "buffer": b""})
    visit.page.wait_for_selector("#error:has-text('empty.png is empty')")
    assert len(visit.read(SAMPLE).faces) == 1
    assert not visit.page.is_visible("#error")


def test_example_drop_and_paste_are_ways_in(visit: _Visit) -> None:
    page = visit.page
    page.focus("#example")
    page.keyboard.press("Enter")
    page.wait_for_selector("#json:has-text('\"example\"')", state="attached")
    assert visit.answer().faces[0].emotion == "happiness"
    give = """([kind, bytes]) => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(bytes)], `${kind}.png`, { type: "image/png" }));
        const options = { bubbles: true, cancelable: true };
        window.dispatchEvent(kind === "paste"
            ? new ClipboardEvent(kind, { ...options, clipboardData: data })
            : new DragEvent(kind, { ...options, dataTransfer: data }));
    }"""
    small = _file("x", Image.open(SAMPLE).resize((128, 128)), format="PNG")["buffer"]
    for kind in ("paste", "drop"):
        page.evaluate(give, [kind, list(small)])
        page.wait_for_selector(f"#json:has-text('{kind}.png')", state="attached")
        assert visit.answer().width == 128


def test_copied_json_is_the_answer(visit: _Visit) -> None:
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    expected = visit.read(SAMPLE)
    visit.page.click("#answer > details > summary")
    visit.page.click("#copy")
    visit.page.wait_for_selector("#copied:has-text('Copied')")
    assert ImageResult.from_json(visit.page.evaluate("navigator.clipboard.readText()")) == expected
    visit.page.click("#answer > details > summary")


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_wide_and_narrow_windows(
    visit: _Visit, tmp_path: Path, scheme: str, width: int
) -> None:
    page = visit.page
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 900})
    visit.read(SAMPLE)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h1").count() == 1
    assert "happiness" in page.get_attribute("#picture", "aria-label")
    assert violations(page) == []
    check_walk(page)
    file = tmp_path / f"{scheme}-{width}.png"
    page.screenshot(path=str(file), full_page=True)
    brightness = np.asarray(Image.open(file).convert("L"))[-60:].mean()
    assert brightness > 200 if scheme == "light" else brightness < 60
    if place := os.environ.get("MIEN_SHOTS"):
        shutil.copy(file, Path(place) / f"browser-{scheme}-{width}.png")


def test_photo_stays_in_view_beside_many_cards_in_columns(visit: _Visit, shared: Path) -> None:
    group = Image.open(shared / "data" / "media" / "multi_face.jpg").resize((600, 400))
    crowd = Image.new("RGB", (1200, 800))
    for place in ((0, 0), (600, 0), (0, 400), (600, 400)):
        crowd.paste(group, place)
    page = visit.page
    page.set_viewport_size({"width": 1280, "height": 800})
    assert len(visit.read(_file("crowd.jpg", crowd, format="JPEG", quality=95)).faces) == 20
    page.locator(".face").last.scroll_into_view_if_needed()
    box, last = page.locator("#picture").bounding_box(), page.locator(".face").last.bounding_box()
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= 800
    lefts = page.evaluate(
        "[...document.querySelectorAll('.face')].map(x => x.getBoundingClientRect().left)"
    )
    assert len(set(lefts)) == 2
    assert box["x"] + box["width"] < min(lefts)
    assert last["y"] + last["height"] <= 800


def test_heic_is_told_apart_from_junk(visit: _Visit) -> None:
    photo = {"name": "IMG_1.HEIC", "mimeType": "image/heic"}
    visit.page.set_input_files("#file", {**photo, "buffer": b"\0\0\0\x18ftypheic" + b"\0" * 40})
    visit.page.wait_for_selector("#error:has-text('is a HEIC photo')")


def _clip(path: Path, frames: list[np.ndarray]) -> Path:
    """Writes frames as raw video, which Chromium plays as if it came from a camera."""
    av = pytest.importorskip("av", reason="needs the extra video")
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w", format="yuv4mpegpipe") as clip:
        stream = clip.add_stream("rawvideo", rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuv420p")
            for packet in stream.encode(picture):
                clip.mux(packet)
        for packet in stream.encode():
            clip.mux(packet)
    return path


def test_camera_shows_a_live_label(
    launch: Any, address: str, recognizer: EmotionRecognizer, shared: Path, tmp_path: Path
) -> None:
    av = pytest.importorskip("av", reason="needs the extra video")
    with av.open(str(shared / "data" / "media" / "single_face.mp4")) as clip:
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)][:30]
    possible = {recognizer.predict(frame).faces[0].emotion for frame in frames[::5]}
    file = _clip(tmp_path / "camera.y4m", frames)
    browser = launch(
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={file}",
    )
    visit = _Visit(browser, address, permissions=["camera"])
    page = visit.page
    page.click("#camera")
    page.wait_for_selector(".face h3")
    seen = [page.text_content(".face h3") for _ in range(3)]
    assert all(any(f"Face 1 {label}" in text for label in possible) for text in seen), seen
    both = """() => ["#status", ".face h3"].map((one) => document.querySelector(one).innerText)"""
    for _ in range(5):
        status, card = page.evaluate(both)
        assert status == f"1 face: {' '.join(card.split()[2:]).replace('?', '')}."
        page.wait_for_timeout(150)
    first = json.loads(page.text_content("#json"))
    page.wait_for_function(
        "before => document.getElementById('json').textContent !== before",
        arg=json.dumps(first, indent=2),
    )
    page.click("#camera")
    page.wait_for_selector(READY)
    assert page.text_content("#status") == "The camera is off."
    assert visit.read(SAMPLE).faces[0].emotion == "happiness"
    assert visit.troubles == []
    visit.context.close()


def test_missing_camera_is_said(visit: _Visit) -> None:
    visit.page.click("#camera")
    visit.page.wait_for_selector("#error:visible")
    assert "camera" in visit.page.text_content("#error")
    visit.page.wait_for_selector(READY)


def test_nothing_leaves_the_page(visit: _Visit, address: str) -> None:
    visit.read(SAMPLE)
    assert visit.troubles == []
    loaded = len(visit.requests)
    files = [url for url in visit.requests if url.startswith("http")]
    assert len(files) > 15
    assert all(url.startswith(address) for url in files)
    assert all(url.startswith(("http", "data:,")) for url in visit.requests)
    assert "refuses this page any connection" in visit.page.text_content("#sealed")
    # Even to its own host, and by any way that a script has.
    tried = visit.page.evaluate(
        """async () => {
            const failed = (promise) => promise.then(() => false, () => true);
            const image = new Image();
            return [
                await failed(fetch("mien.json")),
                await failed(fetch("mien.json", { method: "POST", body: "x" })),
                await failed(import("./scripts/boxes.js?again")),
                await failed(new Promise((done, fail) => {
                    image.onload = done;
                    image.onerror = fail;
                    image.src = "icon.svg?again";
                })),
            ];
        }"""
    )
    assert tried == [True] * 4
    assert len([url for url in visit.requests[loaded:] if "again" not in url]) <= 2
    visit.context.set_offline(True)
    assert visit.read(SAMPLE).faces
    visit.context.set_offline(False)
