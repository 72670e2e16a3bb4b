from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien import ConfigError, EmotionRecognizer, MissingExtraError, ModelError
from mien.cli import main
from mien.cli.sources import SAMPLE
from mien.hub import read_model_folder
from mien.hub.card import model_card
from mien.hub.remote import fetch_model_folder, push_model_folder, pushed_files

pytest.importorskip("huggingface_hub")

from support import hub as stand_in

REPO = "tester/faces"
# huggingface_hub's own upload of large files uses a spelling that its HTTP library deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")


def _files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("config.json", "model.onnx")}


def _fetch(tmp_path: Path, **options: Any) -> EmotionRecognizer:
    return EmotionRecognizer.from_pretrained(
        REPO, cache_dir=tmp_path / "cache", detector="none", **options
    )


def test_what_is_pushed_is_what_is_fetched(hub: stand_in.Hub, folder: Path, tmp_path: Path) -> None:
    (folder / "args.yaml").write_text("epochs: 3\n")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "last.ckpt").write_bytes(b"not for others")
    url = push_model_folder(read_model_folder(folder), REPO, create=True, private=True)
    repository = hub.repositories[REPO]
    pushed = repository.commits[repository.branches["main"]]
    assert url == f"{hub.address}/{REPO}/commit/{repository.branches['main']}"
    assert repository.private
    assert repository.lfs == {"model.onnx", "model.safetensors"}
    assert set(pushed) >= {"README.md", "config.json", "args.yaml", "model.onnx"}
    assert not [name for name in pushed if "ckpt" in name]
    assert REPO in pushed["README.md"].decode()
    assert (folder / "README.md").read_text() == model_card(read_model_folder())
    recognizer = _fetch(tmp_path)
    assert (
        recognizer.predict(SAMPLE).faces == EmotionRecognizer(detector="none").predict(SAMPLE).faces
    )
    asked = " ".join(hub.asked)
    for part in ("whoami", "repos/create", "preupload", "lfs/objects/batch", "commit", "resolve"):
        assert part in asked


def test_second_push_changes_only_what_changed(hub: stand_in.Hub, folder: Path) -> None:
    model = read_model_folder(folder)
    push_model_folder(model, REPO, create=True)
    push_model_folder(model, REPO, revision="trial", create=True)
    repository = hub.repositories[REPO]
    assert repository.branches["trial"] != repository.branches["main"]
    assert len(repository.messages) == 3
    with pytest.raises(ModelError, match=r"no revision 'nowhere'.*--create"):
        push_model_folder(model, REPO, revision="nowhere")


def test_revision_decides_which_commit_is_opened(
    hub: stand_in.Hub, folder: Path, tmp_path: Path
) -> None:
    repository = hub.add(REPO, _files(folder))
    first = repository.branches["main"]
    value = json.loads((folder / "config.json").read_text())
    value["mien"]["temperature"] = 2.5
    repository.commit("main", {"config.json": json.dumps(value).encode()})
    assert _fetch(tmp_path).config.temperature == 2.5
    assert _fetch(tmp_path, revision=first).config.temperature != 2.5
    with pytest.raises(ModelError, match="no revision 'v9'"):
        _fetch(tmp_path, revision="v9")


def test_cache_serves_when_the_hub_is_gone(
    hub: stand_in.Hub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.add(REPO, _files(folder))
    _fetch(tmp_path)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between its retries
    assert _fetch(tmp_path).config.name == read_model_folder().config.name
    with pytest.raises(ModelError, match="cannot be reached"):
        fetch_model_folder(REPO, cache_dir=tmp_path / "other")
    with pytest.raises(ModelError, match="cannot push to"):
        push_model_folder(read_model_folder(folder), REPO)


def test_damaged_cache_is_mended(hub: stand_in.Hub, folder: Path, tmp_path: Path) -> None:
    hub.add(REPO, _files(folder))
    path = fetch_model_folder(REPO, cache_dir=tmp_path / "cache") / "model.onnx"
    path.resolve().write_bytes(b"corrupted")
    assert _fetch(tmp_path).config.temperature
    assert path.read_bytes() == (folder / "model.onnx").read_bytes()


def test_changed_weights_are_refused(hub: stand_in.Hub, folder: Path, tmp_path: Path) -> None:
    files = _files(folder)
    hub.add(REPO, {**files, "model.onnx": files["model.onnx"][:-1] + b"\xff"})
    with pytest.raises(ModelError, match="sha256"):
        _fetch(tmp_path)


def test_download_that_breaks_off_is_refused(
    hub: stand_in.Hub, folder: Path, tmp_path: Path
) -> None:
    hub.add(REPO, _files(folder))
    hub.truncate = True
    with pytest.raises(ModelError, match=r"cannot fetch model\.onnx of tester/faces") as caught:
        _fetch(tmp_path)
    assert "\n" not in str(caught.value)


def test_weights_without_a_digest_are_refused(
    hub: stand_in.Hub, folder: Path, tmp_path: Path
) -> None:
    value = json.loads((folder / "config.json").read_text())
    value["mien"]["files"] = {}
    hub.add(REPO, {**_files(folder), "config.json": json.dumps(value).encode()})
    with pytest.raises(ModelError, match=r"no sha256 of model\.onnx"):
        _fetch(tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [("../model.onnx", "plain file name"), ("pytorch_model.bin", "no network that mien opens")],
)
def test_other_files_are_not_asked_for(
    hub: stand_in.Hub, folder: Path, tmp_path: Path, name: str, words: str
) -> None:
    hub.add(REPO, _files(folder))
    with pytest.raises((ModelError, ConfigError), match=words):
        _fetch(tmp_path, file=name)
    assert hub.asked == []


def test_pickles_are_never_opened(hub: stand_in.Hub, folder: Path, tmp_path: Path) -> None:
    import hashlib

    value = json.loads((folder / "config.json").read_text())
    for content in (pickle.dumps({"a": 1}), b"PK\x03\x04 an archive of torch"):
        value["mien"]["files"]["model.onnx"]["sha256"] = hashlib.sha256(content).hexdigest()
        files = {"config.json": json.dumps(value).encode(), "model.onnx": content}
        hub.add(REPO, files)
        with pytest.raises(ModelError, match="pickle"):
            _fetch(tmp_path / str(len(content)))
    hub.add("tester/other", {"config.json": b"{}", "pytorch_model.bin": content})
    with pytest.raises(ModelError, match="mien"):
        EmotionRecognizer.from_pretrained("tester/other", cache_dir=tmp_path)


def test_pushing_a_pickle_is_refused(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(pickle.dumps([1]))
    from mien.hub import write_config

    model = write_config(folder, read_model_folder(folder).config)
    with pytest.raises(ModelError, match="pickle"):
        pushed_files(model)


def test_missing_private_and_refused_repositories_are_told_apart(
    hub: stand_in.Hub, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelError, match="no such repository"):
        _fetch(tmp_path)
    with pytest.raises(ModelError, match=r"no such repository.*--create"):
        push_model_folder(read_model_folder(folder), REPO)
    hub.add(REPO, {"README.md": b"empty"})
    with pytest.raises(ModelError, match=r"no such file.*config\.json"):
        _fetch(tmp_path)
    hub.add(REPO, _files(folder), private=True)
    assert _fetch(tmp_path).config.name
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(ModelError, match="HF_TOKEN"):
        _fetch(tmp_path / "other")
    with pytest.raises(ModelError, match="Check the token"):
        push_model_folder(read_model_folder(folder), REPO)


@pytest.mark.parametrize("name", ["", "faces", "a/b/c", "a b/c", "../x", "https://a/b"])
def test_impossible_names_are_refused(name: str) -> None:
    with pytest.raises((ConfigError, ModelError)):
        fetch_model_folder(name)


def test_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"mien\[hub\]"):
        fetch_model_folder(REPO)
    with pytest.raises(MissingExtraError, match=r"mien\[hub\]"):
        push_model_folder(read_model_folder(folder), REPO)


def test_command_pushes_and_shows(
    hub: stand_in.Hub, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> int:
        with pytest.raises(SystemExit) as stop:
            main(("push", str(folder), REPO, *words))
        return int(stop.value.code or 0)

    assert run("--dry-run") == 0
    out = capsys.readouterr().out
    assert out.splitlines()[:3] == ["README.md", "config.json", "model.onnx"]
    assert "model-index" in out
    assert hub.asked == []
    assert run() == 1
    assert "--create" in capsys.readouterr().err
    assert run("--create") == 0
    assert f"{REPO}/commit/" in capsys.readouterr().out


def test_card_of_ones_own_is_kept(folder: Path) -> None:
    from mien.hub.remote import pushed_card

    model = read_model_folder(folder)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n\n# Mine\n")
    card = pushed_card(model, REPO)
    assert card.endswith("# Mine\n")
    assert 'license: "apache-2.0"' in card


def test_metadata_is_what_the_hub_reads(folder: Path) -> None:
    from huggingface_hub import ModelCard

    model = read_model_folder(folder)
    data: Any = ModelCard(model_card(model)).data
    assert data.license == "apache-2.0"
    assert data.library_name == "mien"
    assert data.pipeline_tag == "image-classification"
    scores = model.config.metrics["valid"]
    values = {
        result.metric_name: result.metric_value
        for result in data.eval_results
        if result.dataset_name == "FER+"
    }
    assert values["Accuracy"] == pytest.approx(scores["accuracy"], abs=5e-5)
    assert values["Macro-F1"] == pytest.approx(scores["macro_f1"], abs=5e-5)
    assert data.eval_results[0].dataset_name == "FER+"


def test_metadata_survives_yaml() -> None:
    yaml = pytest.importorskip("yaml")
    from mien.reporting.text import card_metadata

    value = {
        "words": ["no", "on", "plain", "a: b", "#x", "-1", 'quo"te', "ünï", ""],
        "deep": [{"a": {"b": [1, 2.5, True]}, "c": "x"}, {"d": None}],
    }
    block = card_metadata("apache-2.0", value)
    assert block.startswith("---\n")
    assert block.endswith("\n---\n")
    read = yaml.safe_load(block.strip("-\n"))
    assert {key: read[key] for key in value} == value
    assert read["license"] == "apache-2.0"
    assert yaml.safe_load(card_metadata("my terms", {}).strip("-\n"))["license"] == "other"


def test_probabilities_of_the_torch_backend_agree(
    hub: stand_in.Hub, folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    hub.add(
        REPO, {**_files(folder), "model.safetensors": (folder / "model.safetensors").read_bytes()}
    )
    torch = _fetch(tmp_path, backend="torch")
    assert not (torch.folder.path / "model.onnx").exists()
    difference = torch.predict_faces([SAMPLE]) - _fetch(tmp_path).predict_faces([SAMPLE])
    # The weights are float32 there, and int8 in model.onnx; of a whole photo taken for a face
    # a network is not sure.
    assert 0 < np.abs(difference).max() < 0.04


@pytest.mark.parametrize("content", ["{", "[1]", '{"n": 3, "deduplicated": null}'])
def test_a_damaged_evaluation_is_named_by_the_card(folder: Path, content: str) -> None:
    report = folder / "eval" / "valid.json"
    report.parent.mkdir(exist_ok=True)
    report.write_text(content)
    with pytest.raises(ModelError, match="is damaged") as caught:
        model_card(read_model_folder(folder))
    assert caught.value.subject == str(report)
    assert "mien evaluate" in caught.value.hint
