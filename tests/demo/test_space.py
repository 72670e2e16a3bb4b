from __future__ import annotations

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from mien import ConfigError, EmotionRecognizer, ModelError, __version__
from mien.cli import main
from mien.demo.config import DemoConfig
from mien.demo.space import write_space
from mien.hub import DEFAULT_MODEL, bundled_models, read_model_folder

ROOT = Path(__file__).parents[2]


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
    assert names == ["README.md", "app.py", "requirements.txt", "sample.jpg"]
    head = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert (head["title"], head["sdk"], head["app_file"]) == ("Faces", "gradio", "app.py")
    assert re.fullmatch(r"\d+\.\d+\.\d+", head["sdk_version"])
    assert head["python_version"] == "3.11"
    assert len(head["short_description"]) <= 60  # the Hub refuses longer ones
    assert (folder / "requirements.txt").read_text() == f"mien[demo,video]=={__version__}\n"
    code = (folder / "app.py").read_text()
    ast.parse(code)
    assert "max_seconds=12" in code
    assert len(code.splitlines()) < 12


def test_gradio_is_the_installed_one(tmp_path: Path) -> None:
    if find_spec("gradio") is None:
        pytest.skip("needs the demo extra")
    assert _front_matter(write_space(tmp_path / "s"))["sdk_version"] == version("gradio")


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


@pytest.mark.slow
@pytest.mark.network
def test_space_runs_in_a_fresh_environment(tmp_path: Path) -> None:
    """As the Hub does it: install what the Space names, run its app, ask for a page and a face."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        pytest.skip("needs uv")
    space = write_space(tmp_path / "space")
    wheels, place = tmp_path / "wheels", tmp_path / "env"
    quiet = {"capture_output": True, "text": True}
    steps = [
        [uv, "build", "-q", "--wheel", "--out-dir", str(wheels), str(ROOT)],
        [uv, "venv", "-q", "--python", sys.executable, str(place)],
        [uv, "pip", "install", "-q", "--python", str(place), "--find-links", str(wheels),
         "-r", str(space / "requirements.txt"), f"gradio=={_front_matter(space)['sdk_version']}"],
    ]  # fmt: skip
    for step in steps:
        done = subprocess.run(step, check=False, timeout=600, **quiet)
        if done.returncode:
            pytest.skip(f"packages cannot be installed here: {done.stderr[-300:]}")
    private = tmp_path / "private"
    private.mkdir()
    environment = {**os.environ, "GRADIO_SERVER_PORT": "0", "TMPDIR": str(private)}
    process = subprocess.Popen(
        [str(place / "bin" / "python"), "app.py"], cwd=space, env=environment, text=True,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        line, said = "", []
        while "http" not in line:
            line = process.stderr.readline()
            said.append(line)
            assert line, said
        port = int(re.search(r":(\d+)/", line)[1])  # type: ignore[index]
        ask = (
            "import sys, json, httpx\n"
            "from gradio_client import Client, handle_file\n"
            "address = sys.argv[1]\n"
            "assert 'What does a face look like?' in httpx.get(address).text\n"
            "client = Client(address, verbose=False)\n"
            "answer = client.predict(handle_file('sample.jpg'), None, api_name='/predict')\n"
            "print(json.dumps(answer))\n"
        )
        command = [str(place / "bin" / "python"), "-c", ask, f"http://127.0.0.1:{port}"]
        done = subprocess.run(command, check=False, cwd=space, timeout=120, **quiet)
        assert done.returncode == 0, done.stderr
        assert '"emotion": "happiness"' in done.stdout
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert [path for path in private.rglob("*") if path.is_file()] == []
    finally:
        process.kill()
        process.communicate()
