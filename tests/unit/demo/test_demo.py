from __future__ import annotations

import base64
import dataclasses
import io
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien import ConfigError, EmotionRecognizer, InputError, MissingExtraError
from mien.cli import main
from mien.demo import views
from mien.demo.config import DemoConfig
from mien.demo.photo import Model, choose, compare_photo, friendly, open_models, read_photo
from mien.demo.uploads import LONGEST_S, MAX_SESSIONS, READ_S, Sessions, UploadStore
from mien.images import decode
from mien.results import FaceEmotion, ImageResult
from mien.results.drawing import PALETTE
from support import ROOT

SAMPLE = ROOT / "src/mien/assets/sample/astronaut.jpg"


@pytest.fixture(scope="module")
def models() -> dict[str, Model]:
    return open_models(DemoConfig())


@pytest.fixture
def model(models: dict[str, Model]) -> Model:
    return next(iter(models.values()))


def _result(*faces: FaceEmotion) -> ImageResult:
    return ImageResult("photo", 100, 80, faces, "m", "d", {})


def _face(probs: dict[str, float], box: tuple[float, ...] = (0, 0, 20, 20)) -> FaceEmotion:
    return FaceEmotion.from_probs(
        list(probs), list(probs.values()), box_xyxy=box, detection_score=0.9
    )


@pytest.mark.parametrize(
    ("values", "words_said"),
    [
        ({"port": -1}, "port must be at least 0 and at most 65535; got -1"),
        ({"port": 80.5}, "port must be a whole number; got 80.5"),
        ({"max_mb": 0}, "max_mb must be at least 0.001 and at most 1000"),
        ({"max_seconds": float("nan")}, "max_seconds must be a number"),
        ({"concurrency": True}, "concurrency must be a whole number; got True"),
        ({"host": ""}, "host must be an address"),
        ({"share": "yes"}, "share must be true or false"),
        ({"model": ("a=x", "a=y")}, "expected NAME=FOLDER with a new NAME"),
        ({"model": (1,)}, "model must be a text; got 1"),
    ],
)
def test_impossible_settings_are_refused(values: dict[str, Any], words_said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words_said)):
        DemoConfig(**values)


def test_every_setting_is_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--help"])
    assert not stop.value.code
    shown = capsys.readouterr().out
    for item in dataclasses.fields(DemoConfig):
        assert f"--{item.name.replace('_', '-')}" in shown


def test_help_imports_no_gradio() -> None:
    code = (
        "import sys\nfrom mien.cli import main\n"
        "try:\n    main(['demo', '--help'])\nexcept SystemExit:\n    pass\n"
        "sys.exit(','.join(n for n in ('gradio', 'onnxruntime', 'av') if n in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_gradio_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.demo import open_demo

    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(MissingExtraError, match=re.escape('pip install "mien[demo]"')):
        open_demo(DemoConfig(port=0)).__enter__()


def test_a_taken_port_is_named() -> None:
    import socket

    from mien.demo.server import _free_port

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port} .*--port 0"):
            _free_port(DemoConfig(port=port))
    assert _free_port(DemoConfig(port=0)) > 0


def test_uploads_go_soon_after_they_were_read() -> None:
    with UploadStore() as uploads:
        read, waiting = (uploads.folder / name / "a.jpg" for name in ("x", "y"))
        for path in (read, waiting):
            path.parent.mkdir()
            path.write_bytes(b"picture")
        assert uploads.folder.stat().st_mode & 0o077 == 0
        now = time.time()
        assert uploads.read(read) == b"picture"
        uploads.sweep(now + READ_S - 1)
        assert read.exists()  # another visitor may have sent the same file
        uploads.sweep(now + READ_S + 2)
        assert (read.exists(), waiting.exists()) == (False, True)
        with pytest.raises(InputError, match="send it again"):
            uploads.read(read)
        uploads.sweep(now + LONGEST_S + 2)
        assert list(uploads.folder.iterdir()) == []
    assert not uploads.folder.exists()


def test_what_is_in_use_stays() -> None:
    with UploadStore() as uploads:
        clip = uploads.folder / "x" / "clip.mp4"
        clip.parent.mkdir()
        clip.write_bytes(b"clip")
        late = time.time() + 2 * LONGEST_S
        with uploads.using(clip) as place, uploads.working() as folder:
            (folder / "piece").write_bytes(b"piece")
            uploads.sweep(late)
            assert place.read_bytes() == b"clip"
            assert (folder / "piece").exists()
        assert not folder.exists()
        uploads.sweep(time.time() + READ_S - 1)
        assert clip.exists()
        uploads.sweep(time.time() + READ_S + 2)
        assert not clip.exists()
        with pytest.raises(InputError, match="waited too long"), uploads.using(clip):
            pass


def test_files_elsewhere_are_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    with UploadStore() as uploads:
        (uploads.folder / "link").symlink_to(secret)
        for path in (secret, uploads.folder / "link", uploads.folder / ".." / "x"):
            with pytest.raises(InputError, match="not a file that was sent"):
                uploads.read(path)


def test_sessions_are_apart_and_forgotten() -> None:
    sessions = Sessions()
    sessions.of("a").photo = b"a"
    sessions.of("b").photo = b"b"
    assert (sessions.of("a").photo, sessions.of("b").photo) == (b"a", b"b")
    sessions.end("a")
    assert sessions.of("a").photo is None
    sessions.of(None).photo = b"nobody's"
    assert sessions.of(None).photo is None
    for number in range(MAX_SESSIONS):
        sessions.of(str(number))
    assert len(sessions) == MAX_SESSIONS
    sessions.sweep(time.time() + LONGEST_S + 1)
    assert len(sessions) == 0


def test_photo_is_read_as_the_library_reads_it(model: Model) -> None:
    data = SAMPLE.read_bytes()
    answer = read_photo(model, data)
    alone = EmotionRecognizer().predict(data)
    assert [f.to_dict() for f in answer.result.faces] == [f.to_dict() for f in alone.faces]
    assert answer.painted is None
    photo = decode(data)
    for sent, expected in ((answer.picture, photo), (answer.drawn, alone.draw(photo))):
        picture = decode(sent).astype(int)
        assert picture.shape == expected.shape
        assert np.abs(picture - expected).mean() < 4  # JPEG
    assert decode(answer.faces[0]).shape == (96, 96, 3)


def test_map_is_painted_on_the_face_only(model: Model) -> None:
    data = SAMPLE.read_bytes()
    answer = read_photo(model, data)
    x1, y1, x2, y2 = (round(value) for value in answer.result.faces[0].box_xyxy)

    def change(label: str) -> np.ndarray:
        answer = read_photo(model, data, explain=True, label=label)
        assert answer.painted is not None
        painted, plain = (decode(one).astype(int) for one in (answer.painted, answer.picture))
        changed: np.ndarray = np.abs(painted - plain)
        return changed

    for label in ("happiness", "sadness"):
        assert change(label)[-60:].mean() < 2
    strong, faint = (change(label)[y1:y2, x1:x2].mean() for label in ("happiness", "sadness"))
    assert strong > 4
    assert strong > 2 * faint, "the map of an improbable label fades"


def test_wide_photos_come_back_smaller(model: Model) -> None:
    photo = io.BytesIO()
    Image.open(SAMPLE).resize((1600, 1600)).save(photo, "JPEG")
    answer = read_photo(model, photo.getvalue())
    assert decode(answer.picture).shape == (1280, 1280, 3)
    assert answer.result.width == 1600


def test_models_are_compared_face_by_face(model: Model) -> None:
    coarse = dataclasses.replace(
        model, name="coarse", recognizer=EmotionRecognizer(labels="hes3", max_faces=50)
    )
    models = {"fine": model, "coarse": coarse}
    results = compare_photo(models, SAMPLE.read_bytes())
    assert [r.faces[0].emotion for r in results.values()] == ["happiness", "happy"]
    table = views.comparison(results)
    assert table.count("<tr>") == 1 + len(results["fine"].faces)
    assert "<td>happiness over 99%</td>" in table or "<td>happiness 9" in table
    assert choose(models, "coarse") is coarse
    assert choose(models, "") is model
    with pytest.raises(InputError, match=r"no model 'x' here\. Known: fine, coarse"):
        choose(models, "x")


@pytest.mark.parametrize(
    ("probs", "said"),
    [
        ([], "No face found. A larger, brighter or more frontal face may help."),
        ([{"sad": 0.25, "happy": 0.75}], "1 face: looks like happy, 75%."),
        (
            [{"sad": 0.25, "happy": 0.75}, {"sad": 1.0, "happy": 0.0}, {"sad": 0.0, "happy": 1.0}],
            "3 faces: 2 happy, 1 sad.",
        ),
    ],
)
def test_sentences(probs: list[dict[str, float]], said: str) -> None:
    assert views.sentence(_result(*map(_face, probs))) == said


def test_bars_are_a_table_with_words_escaped() -> None:
    face = _face({"<b>": 0.125, "calm & still": 0.875})
    card = views.face_cards(_result(face), [b"jpeg"])
    rows = re.findall(r'<th scope="row">(.*?)</th>.*?width:([\d.]+)%.*?<td>(.*?)</td>', card)
    assert rows == [("calm &amp; still", "87.5", "88%"), ("&lt;b&gt;", "12.5", "12%")]
    assert "Probabilities of face 1" in card
    assert base64.b64encode(b"jpeg").decode() in card
    many = views.face_cards(_result(*[face] * 15), [b"jpeg"] * 15)
    assert many.count("<section") == 15, "no face is out of reach"


def test_unlikely_rows_are_folded_away_but_never_the_second_guess() -> None:
    probs = {"neutral": 0.006, "happy": 0.9, "sad": 0.05, "angry": 0.034, "afraid": 0.01}
    card = views.face_cards(_result(_face(probs)), [b"x"])
    open_part, folded = card.split("<details")
    assert re.findall(r'<th scope="row">(.*?)</th>', open_part) == ["happy", "sad"]
    assert re.findall(r'<th scope="row">(.*?)</th>', folded) == ["angry", "afraid", "neutral"]
    assert "<summary>3 more, at most 3%</summary>" in folded
    sure = views.face_cards(_result(_face({"happy": 0.999, "sad": 0.001})), [b"x"])
    assert "happy? over 99%" in sure
    assert "<details" not in sure


def test_boxes_stand_over_the_photo_with_the_numbers_of_the_cards(model: Model) -> None:
    faces = _face({"sad": 0.25, "happy": 0.75}, (10, 8, 40, 48)), _face({"sad": 1.0, "happy": 0.0})
    answer = dataclasses.replace(read_photo(model, SAMPLE.read_bytes()), result=_result(*faces))
    view = views.photo_figure(answer)
    assert view.count("<img") == 1, "one photo, not two"
    assert "left:10.000%;top:10.000%;width:30.000%;height:50.000%" in view
    numbers = re.findall(r"<b>(\d+)", view)
    cards = views.face_cards(answer.result, [b"x", b"y"])
    assert numbers == re.findall(r'class="mien-number"[^>]*>(\d+)', cards) == ["1", "2"]


@pytest.mark.parametrize(
    ("labels", "color"), [(("anger", "happiness"), "#f0e442"), (("bored", "awake"), None)]
)
def test_bars_have_the_colours_of_the_boxes(labels: tuple[str, str], color: str | None) -> None:
    card = views.face_cards(_result(_face(dict(zip(labels, (0.25, 0.75), strict=True)))), [b"x"])
    first = re.findall(r"background:(#\w+)", card)[0]
    assert first == (color or "#{:02x}{:02x}{:02x}".format(*PALETTE[1]))


def test_errors_are_told_in_plain_words(model: Model) -> None:
    with pytest.raises(InputError) as refused:
        read_photo(model, b"hello, I am no picture")
    said = friendly(refused.value)
    assert said.startswith("The file is not")
    assert "bytes (" not in said
    with pytest.raises(InputError) as refused:
        read_photo(open_models(DemoConfig(max_mb=0.01))[model.name], SAMPLE.read_bytes())
    assert "ImageLimits" not in friendly(refused.value)
    secret = Path("/tmp/somewhere/a b.mp4")
    assert friendly(InputError(f"{secret} has no video."), secret) == "The file has no video."


def test_page_says_how_long_things_stay() -> None:
    assert f"within {READ_S + 10:.0f} seconds" in views.intro()
    assert f"stays {LONGEST_S / 60:.0f} minutes" in views.intro()


def test_live_follows_a_face_and_forgets_it_after_a_break(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("scipy")
    from mien.demo import live

    clock = iter(np.arange(100.0, 200.0, 0.05).tolist())
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    reader, frame = live.LiveReader(model), SAMPLE.read_bytes()
    answers = [reader.read(frame) for _ in range(8)]
    assert answers[0].result.faces == ()  # one tracked_face makes no face yet
    face = answers[-1].result.faces[0]
    assert (face.track_id, face.emotion) == (1, "happiness")
    assert answers[-1].fps == pytest.approx(10.0)  # each took 0.05 s, and 0.05 s lay between
    assert answers[-1].read_ms == pytest.approx(50.0)
    view = views.live_view(answers[-1])
    assert "10.0 pictures per second answered, the last read in 50 ms" in view
    for _ in range(80):
        next(clock)
    again = [reader.read(frame) for _ in range(3)]
    assert (again[0].result.faces, again[0].fps) == ((), 0.0)
    with pytest.raises(InputError):
        reader.read(b"no picture")


def test_one_visitor_is_read_one_frame_at_a_time(model: Model) -> None:
    pytest.importorskip("scipy")
    from mien.demo.live import LiveReader

    reader, frame = LiveReader(model), SAMPLE.read_bytes()
    failed: list[BaseException] = []

    def send() -> None:
        try:
            for _ in range(3):
                reader.read(frame)
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failed.append(error)

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(reader.read(frame).result.faces) == 1
