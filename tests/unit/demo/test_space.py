from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import pytest

import mien
from mien import ConfigError, EmotionRecognizer, ModelError
from mien.cli import main
from mien.demo.config import DemoConfig
from mien.demo.space import write_space
from mien.hub import DEFAULT_MODEL, bundled_models, read_model_folder


def _front_matter(folder: Path) -> dict[str, str]:
    text = (folder / "README.md").read_text(encoding="utf-8")
    head = text.split("---\n")[1]
    return dict(re.findall(r"^(\w+): *(.*)$", head, re.MULTILINE))


def test_space_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    yaml = pytest.importorskip("yaml")
    with pytest.raises(SystemExit) as stop:
        main(["space", str(tmp_path / "s"), "--title", "Faces", "--max-seconds", "12"])
    assert not stop.value.code
    assert capsys.readouterr().out.strip() == str(tmp_path / "s")
    folder = tmp_path / "s"
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["README.md", "app.py", "mien", "requirements.txt", "sample.jpg"]
    head = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert (head["title"], head["sdk"], head["app_file"]) == ("Faces", "gradio", "app.py")
    assert re.fullmatch(r"\d+\.\d+\.\d+", head["sdk_version"])
    assert head["python_version"] == "3.11"
    assert len(head["short_description"]) <= 60  # the Hub refuses longer ones
    needed = [re.split(r"[<>=\[]", line)[0] for line in
              (folder / "requirements.txt").read_text().splitlines()]  # fmt: skip
    assert {"numpy", "onnxruntime", "gradio", "av", "scipy", "matplotlib"} <= set(needed)
    assert not {"mien", "torch", "ray", "fastapi"} & set(needed), "published or not, it builds"
    package = Path(mien.__file__).parent
    for file in package.rglob("*"):
        if file.is_file() and "__pycache__" not in file.parts:
            assert (folder / "mien" / file.relative_to(package)).is_file()
    assert not list(folder.rglob("__pycache__"))
    code = (folder / "app.py").read_text()
    ast.parse(code)
    assert "max_seconds=12" in code
    assert len(code.splitlines()) < 12


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    folder = write_space(tmp_path / "s")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("mine")
    (folder / "app.py").write_text("changed")
    with pytest.raises(ConfigError, match="--overwrite"):
        write_space(folder)
    assert (folder / "app.py").read_text() == "changed"
    write_space(folder, overwrite=True)
    assert "run_demo" in (folder / "app.py").read_text()
    assert (folder / ".git" / "config").read_text() == "mine"
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="not by a Space"):
        write_space(other, overwrite=True)
    assert [path.name for path in other.iterdir()] == ["thesis.txt"]
    (tmp_path / "empty").mkdir()
    assert (write_space(tmp_path / "empty") / "app.py").is_file()


@pytest.mark.parametrize("title", ["", "two\nlines", 'a "quote"', "a: b"])
def test_titles_that_would_break_the_card_are_refused(tmp_path: Path, title: str) -> None:
    with pytest.raises(ConfigError, match="title must be a line"):
        write_space(tmp_path / "s", title=title)
    assert list(tmp_path.iterdir()) == []


def test_models_come_along_whole_or_nothing_is_written(tmp_path: Path) -> None:
    assert DEFAULT_MODEL in bundled_models()
    bundled = read_model_folder().path
    mine = tmp_path / "mine"
    shutil.copytree(bundled, mine)
    folder = write_space(tmp_path / "s", config=DemoConfig(model=(f"a={mine}", f"b={mine}")))
    assert 'model=("a=models/a", "b=models/b", ), ' in (folder / "app.py").read_text()
    recognizer = EmotionRecognizer(folder / "models" / "a")
    assert recognizer.predict(folder / "sample.jpg").faces[0].emotion == "happiness"
    (mine / "model.onnx").write_bytes(b"damaged")
    with pytest.raises(ModelError):
        write_space(tmp_path / "t", config=DemoConfig(model=(str(mine),)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "s"]
