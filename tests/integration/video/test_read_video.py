from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from mien import ConfigError, EmotionRecognizer, InputError, MienError
from mien.video import VideoConfig, read_video
from mien.video.parts import PARTS
from support import ROOT
from support.clips import crossing, sample_face, write_clip
from support.video_read_video import BARE, _config, tracks


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "timeline.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def _bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def _packets(path: Path, kind: str) -> list[tuple[float, int]]:
    with av.open(str(path)) as container:
        return [
            (float(packet.pts * packet.time_base), packet.size)
            for packet in container.demux(**{kind: 0})
            if packet.pts is not None
        ]


def test_people_who_cross_keep_their_numbers(results: Path) -> None:
    rows = _rows(results)
    assert {row["track_id"] for row in rows} == {"1", "2"}
    first = {row["track_id"]: float(row["x1"]) for row in rows[:2]}
    last = {row["track_id"]: float(row["x1"]) for row in rows[-2:]}
    left = min(first, key=first.__getitem__)
    assert first[left] < 40
    assert last[left] > 220
    assert last["2" if left == "1" else "1"] < 60


def test_files_say_the_same(results: Path) -> None:
    names = {"annotated.mp4", "timeline.csv", "timeline.png", "subtitles.srt", "summary.json"}
    assert names <= {path.name for path in results.iterdir()}
    rows, summary = _rows(results), json.loads((results / "summary.json").read_text())
    assert summary["frames"] == summary["frames_read"] == 75
    assert summary["complete"] is True
    for track in summary["tracks"]:
        mine = [row for row in rows if row["track_id"] == str(track["track_id"])]
        assert track["frames"] == len(mine)
        assert (track["first_s"], track["last_s"]) == pytest.approx(
            (float(mine[0]["time_s"]), float(mine[-1]["time_s"])), abs=1e-3
        )
        assert sum(track["shares"].values()) == pytest.approx(1, abs=1e-3)
    for row in rows:
        smooth = [float(value) for name, value in row.items() if name.startswith("p_")]
        assert sum(smooth) == pytest.approx(1, abs=1e-4)
        assert float(row["confidence"]) == pytest.approx(max(smooth))
    assert "#1" in (results / "subtitles.srt").read_text()
    parquet = pytest.importorskip("pyarrow.parquet").read_table(results / "timeline.parquet")
    assert parquet.num_rows == len(rows)
    assert parquet["track_id"].to_pylist() == [int(row["track_id"]) for row in rows]


def test_rows_begin_with_the_first_frame_in_which_a_person_is_seen(results: Path) -> None:
    rows = _rows(results)
    for number in ("1", "2"):
        mine = [row for row in rows if row["track_id"] == number]
        assert mine[0]["frame"] == "0"
        frames = [int(row["frame"]) for row in mine]
        assert frames[:12] == list(range(12)), "and go on without a hole"
        assert mine[0]["effective_frames"] == "1.0"
        lefts = np.array([float(row["x1"]) for row in mine])
        assert np.abs(np.diff(lefts[:12])).max() < 16, "between two detections boxes move on"


def test_annotated_copy_keeps_times_and_sound(results: Path, crossing_clip: Path) -> None:
    copy = results / "annotated.mp4"
    times = [time for time, _ in _packets(copy, "video")]
    assert times == pytest.approx([index / 25 for index in range(75)], abs=1e-4)
    assert _packets(copy, "audio") == _packets(crossing_clip, "audio")
    with av.open(str(copy)) as drawn, av.open(str(crossing_clip)) as plain:
        pairs = zip(drawn.decode(video=0), plain.decode(video=0), strict=True)
        changed = [
            float((np.abs(a.to_ndarray(format="rgb24").astype(int) - b.to_ndarray(format="rgb24"))
                   > 60).mean())
            for a, b in pairs
        ]  # fmt: skip
    assert min(changed[:25]) > 0.005, "boxes and labels from the first frame on"


@pytest.mark.parametrize("stop_at", [1, 20, 60])
def test_stopped_run_goes_on_and_ends_with_the_same_files(
    stop_at: int,
    results: Path,
    crossing_clip: Path,
    recognizer: EmotionRecognizer,
    tmp_path: Path,
) -> None:
    done: list[int] = []

    def stop(frame: int, total: int | None) -> None:
        assert total == 75
        done.append(frame)
        if frame == stop_at:
            raise KeyboardInterrupt

    folder = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        read_video(crossing_clip, folder, recognizer=recognizer, config=_config(), progress=stop)
    pieces = sorted((folder / PARTS).glob("*.mp4"))
    assert len(pieces) == (stop_at - 1) // 13, "pieces of half a second: 12 or 13 frames"
    for piece in pieces:
        assert _packets(piece, "video"), "what is written can be read"
    stop_at = 0
    read_video(crossing_clip, folder, recognizer=recognizer, config=_config(), progress=stop)
    assert len(done) < 75 + 14, "only the piece under way is done again"
    assert _bytes(folder) == _bytes(results)


def test_unfinished_run_with_other_settings_is_not_mixed_in(
    crossing_clip: Path, recognizer: EmotionRecognizer, tmp_path: Path
) -> None:
    def stop(frame: int, total: int | None) -> None:
        if frame == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_video(crossing_clip, tmp_path, recognizer=recognizer, config=_config(), progress=stop)
    with pytest.raises(ConfigError, match="another clip, model or setting"):
        read_video(crossing_clip, tmp_path, recognizer=recognizer, config=_config(fps=5))


def test_results_are_replaced_only_when_asked(
    results: Path, crossing_clip: Path, recognizer: EmotionRecognizer, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="--overwrite"):
        read_video(crossing_clip, results, recognizer=recognizer)
    (tmp_path / "timeline.csv").write_text("old")
    config = VideoConfig(fps=5, **BARE)
    read_video(crossing_clip, tmp_path, recognizer=recognizer, config=config, overwrite=True)
    assert {row["frame"] for row in _rows(tmp_path)} <= {str(i) for i in range(0, 75, 5)}
    assert not (tmp_path / PARTS).exists()


def test_no_face_is_an_empty_timeline(recognizer: EmotionRecognizer, tmp_path: Path) -> None:
    odd = [np.full((61, 99, 3), 90, np.uint8)] * 10
    clip = write_clip(tmp_path / "a.mkv", odd, codec="ffv1")
    result = read_video(clip, tmp_path / "out", recognizer=recognizer)
    assert result.summary.tracks == ()
    assert _rows(tmp_path / "out") == []
    assert len(_packets(result.files["annotated.mp4"], "video")) == 10
    assert result.files["timeline.png"].stat().st_size > 1000


def test_clip_that_breaks_off_is_read_as_far_as_it_goes(
    recognizer: EmotionRecognizer, tmp_path: Path
) -> None:
    whole = write_clip(tmp_path / "a.mkv", crossing(100), sound="pcm_s16le")
    cut = tmp_path / "b.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 5])
    result = read_video(cut, tmp_path / "out", recognizer=recognizer)
    assert result.summary.complete is False
    assert 0.5 < result.summary.duration_s < 3
    assert len(_packets(result.files["annotated.mp4"], "video")) == result.summary.frames


def test_sound_that_mp4_cannot_hold_is_encoded_again(
    recognizer: EmotionRecognizer, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "a.mkv", crossing(40), sound="pcm_s16le")
    result = read_video(clip, tmp_path / "out", recognizer=recognizer)
    assert result.summary.complete is True
    with av.open(str(result.files["annotated.mp4"])) as copy:
        assert copy.streams.audio[0].codec_context.name == "aac"
        loud = np.concatenate([block.to_ndarray()[0] for block in copy.decode(audio=0)])
    assert len(loud) / 16000 == pytest.approx(1.6, abs=0.15)
    assert 0.1 < loud[2000:-2000].std() < 0.3, "the tone of a quarter of full scale"


def test_scene_cut_ends_the_tracks(recognizer: EmotionRecognizer, tmp_path: Path) -> None:
    red = np.full((90, 160, 3), 10, np.uint8)
    red[20:68, 60:108] = (200, 40, 40)
    other = np.full((90, 160, 3), 230, np.uint8)
    other[20:68, 60:108] = (200, 40, 40)
    clip = write_clip(tmp_path / "a.mp4", [red] * 20 + [other] * 20)
    result = read_video(clip, tmp_path / "out", recognizer=recognizer, config=VideoConfig(**BARE))
    first, second = result.summary.tracks
    assert first.last_s < 0.8 <= second.first_s


def test_real_faces_that_cross_keep_their_numbers(tmp_path: Path) -> None:
    """The bundled face and its mirror image, tinted, found by the package's own detector."""

    def frames() -> list[np.ndarray]:
        made = []
        one = sample_face(110)
        two = sample_face(96, tint=(0.65, 0.8, 1.0))[:, ::-1]
        for index in range(50):
            frame = np.full((240, 428, 3), 120, np.uint8)
            step = index * 6
            frame[70:166, 325 - step : 421 - step] = two
            frame[60:170, 6 + step : 116 + step] = one
            made.append(frame)
        return made

    clip = write_clip(tmp_path / "a.mp4", frames())
    result = read_video(
        clip, tmp_path / "out", recognizer=EmotionRecognizer(threads=1), config=VideoConfig(**BARE)
    )
    assert len(result.summary.tracks) == 2
    rows = _rows(tmp_path / "out")
    for number in ("1", "2"):
        places = [float(row["x1"]) for row in rows if row["track_id"] == number]
        assert abs(places[-1] - places[0]) > 200, "each walks from one side to the other"


@pytest.mark.slow
def test_memory_does_not_grow_with_the_clip(recognizer: EmotionRecognizer, tmp_path: Path) -> None:
    psutil = pytest.importorskip("psutil")
    walk = list(crossing(60, size=(160, 120)))
    clip = write_clip(tmp_path / "a.mp4", (walk[i % 120 % 60] for i in range(1000)), sound="aac")
    process, used = psutil.Process(), []
    read_video(
        clip, tmp_path / "out", recognizer=recognizer, config=_config(fps=12),
        progress=lambda *_: used.append(process.memory_info().rss),
    )  # fmt: skip
    assert len(used) == 1000
    assert max(used[250:]) < 1.1 * max(used[:250])


def _limited(tmp_path: Path, clip: Path, limit: int) -> subprocess.CompletedProcess[str]:
    script = (
        "import resource, sys; sys.path.insert(0, sys.argv[1]);"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}));"
        "from mien import EmotionRecognizer; from mien.video import *;"
        "from support.clips import ColorFaces;"
        "r = EmotionRecognizer(detector=ColorFaces(), threads=1);"
        "read_video(sys.argv[2], sys.argv[3], recognizer=r,"
        " config=VideoConfig(segment_s=0.5, picture=False))"
    )
    tests = ROOT / "tests"
    return subprocess.run(
        [sys.executable, "-c", script, str(tests), str(clip), str(tmp_path / "out")],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def test_full_disk_is_named_and_the_run_goes_on_later(
    crossing_clip: Path, recognizer: EmotionRecognizer, tmp_path: Path
) -> None:
    """A limit on the size of files stands in for the disk: pieces fit in, the joined clip not."""
    ended = _limited(tmp_path, crossing_clip, 20_000)
    assert ended.returncode == 1
    assert "MienError" in ended.stderr
    assert "free some space and type the same command" in ended.stderr
    folder = tmp_path / "out"
    assert not (folder / "annotated.mp4").exists()
    pieces = sorted((folder / PARTS).glob("*.mp4"))
    assert sum(len(_packets(piece, "video")) for piece in pieces) == 75
    done: list[int] = []
    config = VideoConfig(segment_s=0.5, picture=False)
    result = read_video(
        crossing_clip, folder, recognizer=recognizer, config=config,
        progress=lambda frame, _: done.append(frame),
    )  # fmt: skip
    assert done == []
    assert len(_packets(result.files["annotated.mp4"], "video")) == 75


def test_folder_that_cannot_be_is_refused(
    crossing_clip: Path, recognizer: EmotionRecognizer, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file"):
        read_video(crossing_clip, tmp_path / "file", recognizer=recognizer)
    with pytest.raises(MienError, match="cannot be written"):
        read_video(crossing_clip, tmp_path / "file" / "below", recognizer=recognizer)
    with pytest.raises(InputError, match="no such file"):
        read_video(tmp_path / "none.mp4", tmp_path / "out", recognizer=recognizer)


@pytest.mark.parametrize(
    "name",
    ["single_face.mp4", pytest.param("WolfgangLanger_Pexels.mp4", marks=pytest.mark.slow)],
)
def test_one_person_is_one_track(name: str, shared: Path, tmp_path: Path) -> None:
    [(first, last, end)] = tracks(shared, name, tmp_path)
    assert first < 0.6
    assert last > end - 0.6


def test_track_ends_with_the_face(shared: Path, tmp_path: Path) -> None:
    [(first, last, end)] = tracks(shared, "face_noface.mov", tmp_path)
    assert first < 0.6
    assert 2.0 < last < 0.5 * end


def test_clip_without_a_face_has_no_track(shared: Path, tmp_path: Path) -> None:
    assert tracks(shared, "no_face.mp4", tmp_path) == []
