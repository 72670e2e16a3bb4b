from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from PIL import Image

from mien.hub import ASSETS
from mien.images import decode
from support.accessibility import check_walk, violations

if TYPE_CHECKING:
    from support.page import Page

pytestmark = pytest.mark.slow
Launch = Callable[..., Any]
EXAMPLE = ASSETS / "sample" / "astronaut.jpg"
#: Milliseconds; a busy machine needs many.
PATIENCE = 120_000
CAMERA = (
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    "--use-file-for-fake-video-capture=",
)  # fmt: skip


class Visit:
    """A browser tab on the page, with what it asked for and complained about."""

    def __init__(
        self, browser: Any, page: Page, *, scheme: str = "light", width: int = 1280
    ) -> None:
        self.page, self.width = page, width
        self.context = browser.new_context(
            color_scheme=scheme, viewport={"width": width, "height": 900}, permissions=["camera"]
        )
        self.context.set_default_timeout(PATIENCE)
        self.tab = self.context.new_page()
        self.hosts: set[str] = set()
        self.troubles: list[str] = []
        self.tab.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        self.tab.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.tab.on("response", self._answered)
        self.tab.goto(page.address)
        self.tab.wait_for_selector("#mien-photo input[type=file]", state="attached")

    def _answered(self, response: Any) -> None:
        if response.status >= 400:
            self.troubles.append(f"{response.status} {response.url}")

    def send(self, where: str, path: Path | dict[str, Any]) -> None:
        """Gives the field a file, again where the page was not ready to hear of the first."""
        from playwright.sync_api import TimeoutError as Unheard

        field = self.tab.locator(f"{where} input[type=file]").first
        for _ in range(2):
            try:
                with self.tab.expect_request(lambda sent: "/upload" in sent.url, timeout=20_000):
                    field.set_input_files(path)
            except Unheard:
                field.set_input_files([])
            else:
                return
        field.set_input_files(path)

    def status(self, words: str) -> None:
        self.tab.locator("#mien-photo-status").get_by_text(words).wait_for()

    def check_manners(self) -> None:
        """Nothing comes from elsewhere, nothing failed, nothing reaches beyond the window."""
        assert self.hosts - {""} == {urlsplit(self.page.address).netloc}
        assert self.troubles == []
        assert self.tab.evaluate("document.documentElement.scrollWidth") <= self.width

    def brightness(self) -> float:
        return float(decode(self.tab.screenshot()).mean())


@pytest.fixture(scope="module")
def browser(chromium: Launch) -> Any:
    return chromium()


def test_photo_of_five_people(browser: Any, page: Page, shared: Path) -> None:
    visit = Visit(browser, page)
    tab = visit.tab
    visit.send("#mien-photo", shared / "data/media/multi_face.jpg")
    visit.status("5 faces")
    assert tab.locator("#mien-photo-cards section").count() == 5
    picture = tab.locator("#mien-photo-view img")
    assert picture.count() == 1
    assert tab.locator("#mien-photo img").count() == 0, "one photo, not two"
    numbers = [
        [one.split()[0] for one in tab.locator(place).all_inner_texts()]
        for place in (".mien-box b", ".mien-number")
    ]
    assert numbers[0] == numbers[1] == ["1", "2", "3", "4", "5"]
    assert "5 faces" in picture.get_attribute("alt")
    shares = tab.locator("#mien-photo-cards section").first.locator("tr").all_inner_texts()
    assert len([share for share in shares if share]) == 2, "the unlikely ones are folded away"
    assert re.match(r"happiness\s+(9\d|over 99)%", shares[0])
    tab.locator("#mien-photo-cards summary").first.click()
    shares = tab.locator("#mien-photo-cards section").first.locator("tr").all_inner_texts()
    assert len([share for share in shares if share]) == 8

    tab.get_by_label("Show what the model looked at").check()
    tab.wait_for_selector("img.mien-map")
    strength = "Number(getComputedStyle(document.querySelector('img.mien-map')).opacity)"
    assert tab.evaluate(strength) == pytest.approx(0.8)
    slider = tab.locator("#mien-strength input[type=range]")
    slider.focus()
    for _ in range(4):
        tab.keyboard.press("ArrowLeft")
    tab.wait_for_function(f"{strength} < 0.65")
    size = "[...document.querySelectorAll('#mien-photo-view img')].map(x => x.clientWidth)"
    widths = tab.evaluate(size)
    assert widths[0] == widths[1] > 300

    tab.get_by_text("The answer as JSON").click()
    tab.get_by_text('"schema_version"').wait_for()
    visit.check_manners()
    visit.context.close()


def test_junk_is_refused_in_plain_words_and_the_page_goes_on(browser: Any, page: Page) -> None:
    visit = Visit(browser, page, scheme="dark", width=390)
    junk = {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": b"I am only text.\n" * 9}
    visit.send("#mien-photo", junk)
    visit.tab.locator("#mien-photo-status [role=alert]").wait_for()
    said = visit.tab.locator("#mien-photo-status [role=alert]").inner_text()
    assert said.startswith("The file is not a picture")
    assert "text" in said
    assert visit.tab.locator("#mien-photo-cards section").count() == 0
    visit.tab.get_by_role("button", name="Try the example photo").click()
    visit.status("1 face: looks like happiness")
    assert visit.tab.locator("#mien-photo-status").get_attribute("aria-live") == "polite"
    visit.check_manners()
    dark = visit.brightness()
    visit.context.close()
    light = Visit(browser, page, width=390)
    assert light.brightness() > 180 > 90 > dark
    tabs = light.tab.get_by_role("tab").all_inner_texts()
    assert [name for name in tabs if name] == ["Photo", "Camera", "Clip", "Limits"]
    light.check_manners()
    light.context.close()


def test_controls_have_names_and_can_be_reached(browser: Any, page: Page) -> None:
    visit = Visit(browser, page)
    tab = visit.tab
    # Gradio's hidden drop areas aside, whatever can be focused says what it is.
    nameless = tab.evaluate(
        """[...document.querySelectorAll('button, input, select, textarea, a')]
        .filter(x => x.checkVisibility() && x.tabIndex >= 0 && x.type !== 'file')
        .filter(x => !(x.innerText || x.ariaLabel || x.title || x.labels?.[0]?.innerText
            || x.placeholder))
        .map(x => x.outerHTML.slice(0, 120))"""
    )
    assert nameless == []
    tab.get_by_role("button", name="Try the example photo").click()
    visit.status("1 face")
    reached = check_walk(tab)
    assert {"Photo", "Try the example photo", "Download with boxes"} <= set(reached)
    assert any("each under 1%" in name for name in reached), "what is folded can be opened"
    tab.get_by_role("tab", name="Limits").click()
    tab.get_by_text("What it cannot know").wait_for()
    assert tab.evaluate("document.documentElement.lang") == "en"
    visit.check_manners()
    visit.context.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(browser: Any, page: Page, scheme: str, width: int) -> None:
    visit = Visit(browser, page, scheme=scheme, width=width)
    tab = visit.tab
    tab.get_by_role("button", name="Try the example photo").click()
    visit.status("1 face")
    tab.locator("#mien-photo-cards section").wait_for()
    assert violations(tab) == []
    for name in ("Camera", "Clip", "Limits"):
        tab.get_by_role("tab", name=name).click()
        tab.wait_for_timeout(500)
        assert violations(tab) == []
    visit.context.close()


def test_the_answer_stands_above_the_fold_of_a_phone(browser: Any, page: Page) -> None:
    visit = Visit(browser, page, width=390)
    tab = visit.tab
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.get_by_role("button", name="Try the example photo").click()
    visit.status("1 face")
    tab.locator("#mien-photo-view img").wait_for()
    assert tab.evaluate("scrollY") == 0
    bottom = "document.querySelector('{}').getBoundingClientRect().bottom"
    assert tab.evaluate(bottom.format("#mien-photo-status p")) < 600
    assert tab.evaluate(bottom.format(".mien-box")) < 844, "the face is in sight, too"
    visit.context.close()


def test_photo_of_a_phone_in_heic_is_read(browser: Any, page: Page, tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="needs the heif extra")
    heif.register_heif_opener()
    file = tmp_path / "IMG_0001.HEIC"
    Image.open(EXAMPLE).save(file, format="HEIF", quality=90)
    visit = Visit(browser, page, width=390)
    visit.send("#mien-photo", file)
    visit.status("1 face: looks like happiness")
    visit.check_manners()
    visit.context.close()


def test_camera_is_followed(chromium: Launch, page: Page, shared: Path, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    film = tmp_path / "camera.mjpeg"
    with av.open(str(shared / "data/media/single_face.mp4")) as clip, film.open("wb") as out:
        for index, frame in enumerate(clip.decode(video=0)):
            if index < 24:
                frame.to_image().resize((480, 270)).save(out, "JPEG", quality=85)
    browser = chromium(*CAMERA[:2], f"{CAMERA[2]}{film}")
    visit = Visit(browser, page)
    before = set(page.files())
    visit.tab.get_by_role("tab", name="Camera").click()
    camera = visit.tab.locator("#mien-camera")
    camera.get_by_text("Click to Access Webcam").click()
    camera.get_by_text("Record").click()
    view = visit.tab.locator("#mien-live-view")
    view.get_by_text("1 face: looks like").wait_for()
    first = view.inner_text()
    visit.tab.wait_for_function(
        "said => document.querySelector('#mien-live-view').innerText !== said", arg=first
    )
    said = view.inner_text()
    rate = re.search(r"([\d.]+) pictures per second answered, the last read in (\d+) ms", said)
    assert rate
    assert 0 < float(rate[1]) <= 30  # ten a second are sent; the first ones may come in a burst
    assert int(rate[2]) > 0
    agreed = 0
    for _ in range(5):  # the sentence and the card are of one picture
        said = view.inner_text()
        if sentence := re.search(r"looks like (\w+), ((?:under |over )?\d+%)", said):
            assert f"The face: {sentence[1]} {sentence[2]}" in said
            agreed += 1
        visit.tab.wait_for_timeout(150)
    assert agreed
    assert set(page.files()) <= before  # nothing of a camera touches the disk
    visit.check_manners()
    visit.context.close()


def test_clip_is_read(browser: Any, page: Page, shared: Path) -> None:
    pytest.importorskip("av")
    visit = Visit(browser, page, width=390)
    tab = visit.tab
    tab.get_by_role("tab", name="Clip").click()
    visit.send("#mien-clip", shared / "data/media/single_face.mp4")
    tab.locator("#mien-clip video").first.wait_for(state="attached")
    tab.get_by_role("button", name="Read the clip").click()
    tab.locator("#mien-clip-status").get_by_text("1 face in").wait_for()
    tab.locator("#mien-clip-view section").first.wait_for()
    assert violations(tab) == []
    shown = [one.is_visible() for one in tab.locator("#mien-clip-view img").all()]
    assert shown == [True, False], "the light timeline alone"
    played = "document.querySelector('#mien-clip-shown video')?.readyState >= 2"
    tab.wait_for_function(played)
    assert (
        tab.locator("#mien-clip-view img.mien-light")
        .get_attribute("alt")
        .startswith("Expressions over")
    )
    visit.check_manners()
    visit.context.close()
