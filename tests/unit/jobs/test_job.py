from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet

from mien import EmotionRecognizer
from mien.cli import main
from mien.errors import ConfigError, InputError, MienError
from mien.images import list_images
from mien.jobs import JobConfig, JobSummary, open_job, predict_files
from mien.jobs.outputs import FolderStore
from mien.jobs.table import schema
from support.jobs import parts, read

CONFIG = JobConfig(workers=1, part_size=4, detector="none", batch_size=3)


FLAGS = ("prediction_set", "quality_flags", "uncertain")


def _flags(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in FLAGS}


def _run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as stop:
        main(("predict", *map(str, arguments)))
    return int(stop.value.code or 0)


@pytest.fixture
def done(faces: Path, tmp_path: Path) -> Path:
    output = tmp_path / "done.parquet"
    predict_files([faces], output, config=CONFIG)
    return output


def test_rows_are_what_the_recognizer_says(faces: Path, done: Path) -> None:
    table = read(done)
    recognizer = EmotionRecognizer(detector="none")
    assert table.schema.remove_metadata() == schema(recognizer.labels)
    rows = {row["source"]: row for row in table.to_pylist()}
    expected = {str(path): path for path in list_images(faces)}
    assert rows.keys() == expected.keys()
    assert len(rows) == len(table) == 14
    for name, path in expected.items():
        row = rows[name]
        if path.stem in {"bad", "empty"}:
            assert path.name in row["error"]
            assert row["face"] is row["width"] is row["emotion"] is None
            continue
        face = recognizer.predict(path).faces[0]
        assert (row["width"], row["height"], row["face"], row["error"]) == (48, 48, 1, None)
        assert row["emotion"] == face.emotion
        assert _flags(row) == {name: face.to_dict()[name] for name in FLAGS}
        # Batches of other sizes round otherwise.
        np.testing.assert_allclose(
            [row[f"p_{label}"] for label in face.probs], list(face.probs.values()), atol=1e-5
        )
        assert row["confidence"] == max(row[f"p_{label}"] for label in face.probs)
        assert [row[name] for name in ("x1", "y1", "x2", "y2")] == [0, 0, 48, 48]
    assert any(row["quality_flags"] for row in rows.values()), "drawn faces are uncertain"


def test_faces_are_numbered_and_pictures_without_one_have_a_row(
    shared: Path, tmp_path: Path
) -> None:
    media = shared / "data" / "media"
    config = JobConfig(workers=1)
    names = ["multi_face.jpg", "free-mountain-vector-01.jpg"]
    summary = predict_files([media / name for name in names], tmp_path / "out", config=config)
    rows = read(tmp_path / "out").to_pylist()
    assert [row["face"] for row in rows] == [1, 2, 3, 4, 5, None]
    assert (summary.pictures, summary.faces, summary.failed) == (2, 5, 0)
    result = EmotionRecognizer().predict(media / names[0])
    for row, face in zip(rows, result.faces, strict=False):
        assert _flags(row) == {name: face.to_dict()[name] for name in FLAGS}
        np.testing.assert_allclose([row[k] for k in ("x1", "y1", "x2", "y2")], face.box_xyxy)
        assert row["emotion"] == face.emotion
    assert rows[-1]["width"] > 0
    assert rows[-1]["error"] is None


def test_finished_job_is_refused_and_resuming_it_changes_nothing(
    faces: Path, done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("-o", done, "-j", 1, "--part-size", 4, "--detector", "none", "-b", 3)
    assert _run(faces, *flags) == 2
    assert "--resume" in capsys.readouterr().err
    before = {name: (done / name).stat().st_mtime_ns for name in parts(done)}
    assert _run(faces, *flags, "--resume", "--format", "json") == 1, "two pictures failed"
    summary = json.loads(capsys.readouterr().out)
    assert summary == json.loads((done / "_mien" / "summary.json").read_text())
    assert {key: summary[key] for key in ("pictures", "faces", "failed", "parts", "resumed")} == {
        "pictures": 14, "faces": 12, "failed": 2, "parts": 4, "resumed": 14,
    }  # fmt: skip
    assert {name: (done / name).stat().st_mtime_ns for name in parts(done)} == before


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"detector": "mien"}, "detector"),
        ({"labels": "hes3"}, "labels"),
        ({"part_size": 5}, "part_size"),
        ({"min_face": 9}, "min_face"),
        ({"max_faces": 1}, "max_faces"),
        ({"min_score": 0.9}, "min_score"),
    ],
)
def test_other_settings_are_refused_on_resume(
    faces: Path, done: Path, change: dict[str, object], named: str
) -> None:
    config = JobConfig(**{**CONFIG.to_dict(), **change})
    with pytest.raises(ConfigError, match=f"begun with another {named}"):
        predict_files([faces], done, config=config, resume=True)
    with pytest.raises(ConfigError, match="begun with another sources"):
        predict_files([faces / "a"], done, config=CONFIG, resume=True)


def test_broken_and_foreign_parts_are_done_again(faces: Path, done: Path, tmp_path: Path) -> None:
    whole = read(done)
    other = tmp_path / "other.parquet"
    predict_files([faces / "a", faces / "b"], other, config=CONFIG)
    names = parts(done)
    (done / names[0]).write_bytes((done / names[0]).read_bytes()[:-20])
    (done / names[1]).write_bytes((other / names[1]).read_bytes())
    (done / names[3]).unlink()
    (done / f".{names[2]}.99-abc.parquet").write_bytes(b"half a file")
    kept = (done / names[2]).stat().st_mtime_ns
    summary = predict_files([faces], done, config=CONFIG, resume=True)
    assert summary.resumed == 4
    assert (done / names[2]).stat().st_mtime_ns == kept
    assert read(done).equals(whole)
    assert sorted(path.name for path in done.iterdir()) == ["_mien", *names]


def test_overwrite_drops_the_job_and_nothing_else(faces: Path, done: Path) -> None:
    (done / "mine.txt").write_text("keep")
    summary = predict_files([faces / "a"], done, config=CONFIG, overwrite=True)
    assert (summary.pictures, len(parts(done))) == (7, 2)
    assert (done / "mine.txt").read_text() == "keep"
    with pytest.raises(ConfigError, match="one of them"):
        predict_files([faces], done, config=CONFIG, overwrite=True, resume=True)


@pytest.mark.parametrize("overwrite", [False, True])
def test_places_that_are_no_job_are_left_alone(
    faces: Path, tmp_path: Path, *, overwrite: bool
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    (tmp_path / "file.parquet").write_text("a table")
    for name, words in (("mine", "no job of mien's"), ("file.parquet", "is a file")):
        with pytest.raises(ConfigError, match=words):
            predict_files([faces], tmp_path / name, config=CONFIG, overwrite=overwrite)
    with pytest.raises(MienError, match="cannot be written"):
        predict_files([faces], tmp_path / "file.parquet" / "out", config=CONFIG)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.parquet", "mine"]
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_job_killed_while_listing_begins_afresh(faces: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "_mien").mkdir(parents=True)
    (tmp_path / "out" / "_mien" / "files.parquet").write_bytes(b"half a li")
    summary = predict_files([faces], tmp_path / "out", config=CONFIG, resume=True)
    assert summary.pictures == 14


def test_damaged_job_file_is_named(faces: Path, done: Path) -> None:
    (done / "_mien" / "job.json").write_text("{")
    with pytest.raises(ConfigError, match=r"job\.json is damaged"):
        predict_files([faces], done, config=CONFIG, resume=True)
    assert predict_files([faces], done, config=CONFIG, overwrite=True).pictures == 14


def test_second_job_at_the_same_time_is_refused(faces: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    with open_job([faces], output, config=CONFIG) as job:
        with pytest.raises(ConfigError, match="another job is writing"):
            predict_files([faces], output, config=CONFIG, resume=True)
        summary: JobSummary = job.run()
    assert summary.pictures == 14


def test_list_keeps_its_order_and_every_line(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(faces)
    lines = ["b/02.png", str(faces / "a" / "01.png"), "", "b/02.png", "a/gone.png"]
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(lines) + "\n")
    summary = predict_files([listed], tmp_path / "out", config=CONFIG)
    names = ["b/02.png", "a/01.png", "b/02.png", "a/gone.png"]
    rows = read(tmp_path / "out").to_pylist()
    assert [row["source"] for row in rows] == [str(faces / name) for name in names]
    assert "there is no file" in rows[-1]["error"]
    assert summary.failed == 1
    listed.write_text("b/02.png\n")
    with pytest.raises(ConfigError, match="another sources"):
        predict_files([listed], tmp_path / "out", config=CONFIG, resume=True)


def test_input_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for words, message in (
        ([tmp_path / "empty"], "no pictures in the input"),
        ([tmp_path / "gone"], "no file or folder"),
        ([], "no pictures. Name"),
    ):
        with pytest.raises(InputError, match=message):
            predict_files(words, tmp_path / "out", config=CONFIG)
    with pytest.raises(ConfigError, match=r"clip\.mp4 is a clip"):
        predict_files(["clip.mp4"], tmp_path / "out", config=CONFIG)
    with pytest.raises(ConfigError, match=r"list\.txt"):
        predict_files(["-"], tmp_path / "out", config=CONFIG)


def test_command_line_says_what_goes_with_what(
    faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r.parquet"
    for flags, words in (
        (["--engine", "local"], "-o results.parquet"),
        (["--engine", "spark", "-o", out], "engine 'spark'"),
        (["--address", "auto", "-o", out], "--engine ray"),
        (["--stages", "split", "-o", out], "--engine ray"),
        (["--resume"], "is for jobs"),
        (["-o", out, "--format", "csv"], "Parquet"),
        (["-o", out, "--webcam", "0"], "stands alone"),
    ):
        assert _run(faces, *flags) == 2
        assert words in capsys.readouterr().err
    assert not out.exists()


def test_job_of_bad_pictures_alone_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.png").write_text("no")
    assert _run(tmp_path / "bad.png", "-o", tmp_path / "r.parquet", "-j", 1) == 1
    assert "not one picture" in capsys.readouterr().err
    assert len(read(tmp_path / "r.parquet")) == 1


def test_flags_are_those_of_the_config_and_give_its_defaults(
    faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien.cli import predict

    given: list[JobConfig] = []
    monkeypatch.setattr(
        predict, "predict_job", lambda _words, _output, config, **_: given.append(config)
    )
    assert _run(faces, "-o", "r.parquet") == 0
    assert _run(faces, "-o", "r.parquet", "--part-size", 7, "--min-face", 9) == 0
    assert given == [JobConfig(), JobConfig(part_size=7, min_face=9)]


@pytest.mark.parametrize(
    "values", [{"part_size": 0}, {"workers": -1}, {"part_size": True}, {"stages": "none"}]
)
def test_impossible_settings_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        JobConfig(**values)  # type: ignore[arg-type]


def test_split_stages_give_the_rows_of_a_fused_task(
    faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mien.jobs import stages
    from mien.jobs.work import Part, answer_part, finish

    recognizer = CONFIG.open_recognizer()
    monkeypatch.setattr(stages, "worker_recognizer", lambda *_: recognizer)
    part = Part("job", 0, tuple(map(str, [*list_images(faces), faces / "gone.png"])))
    read = stages._read(stages._block(part), readers=2)
    prepared = stages._Preparer(CONFIG, [], "")(read)
    rows = stages._Classifier(CONFIG, [], "")(prepared)
    [(number, table)] = stages._Collector({0: len(part.paths)}).add(rows)
    answer = finish(part, table, recognizer, worker="")
    assert number == 0
    assert (answer.notes["pictures"], answer.notes["failed"]) == (15, 3)
    expected = parquet.read_table(io.BytesIO(answer_part(recognizer, part, readers=2).data))
    found = parquet.read_table(io.BytesIO(answer.data))
    for name in expected.column_names:
        one, other = found[name].to_pylist(), expected[name].to_pylist()
        if name.startswith("p_") or name == "confidence":
            np.testing.assert_allclose(np.array(one, float), np.array(other, float), atol=1e-5)
        else:
            assert one == other, name


def test_a_store_that_does_not_answer_drops_no_finished_part(
    faces: Path, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bytes:
        raise TimeoutError(110, "the disk does not answer")

    read_bytes, kept = Path.read_bytes, parts(done)
    monkeypatch.setattr(FolderStore, "open", refuse)
    assert predict_files([faces], done, config=CONFIG, resume=True).resumed == 14
    monkeypatch.setattr(
        Path, "read_bytes", lambda path: refuse() if path.name in kept else read_bytes(path)
    )
    with pytest.raises(InputError, match="cannot be read: the disk does not answer"):
        predict_files([faces], done, config=CONFIG, resume=True)
    assert parts(done) == kept
