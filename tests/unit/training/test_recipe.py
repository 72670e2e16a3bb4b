"""Recipes: any mapping is read and comes back, or is refused in words."""

from __future__ import annotations

import math
import os
import sys
import tempfile
from contextlib import suppress
from dataclasses import FrozenInstanceError, dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien import config as settings
from mien.config import (
    Config,
    Kind,
    Limits,
    Saved,
    above_zero,
    below_one,
    check_keys,
    coerce,
    from_one,
    from_zero,
    import_plugins,
    kinds_of,
    knows,
    load_configs,
    load_object,
    one_of,
    option,
    read_values,
    share,
    switch,
)
from mien.errors import ConfigError, MissingExtraError
from mien.training.config import TrainConfig, check_data, split_names

yaml = pytest.importorskip("yaml")

_NAMES = [item.name for item in fields(TrainConfig)]
_TEXT = st.text("abcdeflmnoruy:,./01 -", max_size=8)
_ANY = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 2000), st.floats(-1, 2), _TEXT,
    st.sampled_from([math.nan, math.inf, "1/2", "1e-3", "true", "0x1", "auto", "none", "cuda:1"]),
    st.lists(st.one_of(st.integers(0, 3), _TEXT), max_size=3),
    st.dictionaries(_TEXT, st.integers(0, 3), max_size=2),
)  # fmt: skip
_FITTING = {
    name: st.sampled_from([getattr(TrainConfig(), name), *item.metadata["limits"].choices])
    for name, item in zip(_NAMES, fields(TrainConfig), strict=True)
}
_MAPPING = st.one_of(
    st.dictionaries(st.one_of(st.sampled_from(_NAMES), _TEXT), _ANY, max_size=4),
    st.sampled_from(_NAMES).flatmap(lambda name: st.fixed_dictionaries({name: _FITTING[name]})),
    st.sampled_from(_NAMES).flatmap(lambda name: st.fixed_dictionaries({name: _ANY})),
)


@given(st.one_of(_MAPPING, st.lists(_ANY, max_size=2), _ANY))
def test_any_yaml_is_read_and_comes_back_or_is_refused(value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.yaml"
        path.write_text(yaml.safe_dump(value), encoding="utf-8")
        try:
            config = TrainConfig.load(path)
        except ConfigError:
            return
        assert not value or isinstance(value, dict)
        path.write_text(config.to_yaml(), encoding="utf-8")
        assert TrainConfig.load(path) == config
        assert TrainConfig.make(config.to_dict()) == config
        assert yaml.safe_load(config.to_yaml()).keys() == set(_NAMES)


@given(st.text("ab:-[]{}&*!|>'\"%@`#,?\n\t 01\x00\x85é", max_size=20))
def test_any_text_is_a_recipe_or_refused(text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("recipe.yaml", "recipe.toml"):
            path = Path(folder) / name
            path.write_text(text, encoding="utf-8", newline="")
            with suppress(ConfigError):
                TrainConfig.load(path)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    for name, what in (("a.yaml", "YAML"), ("a.toml", "TOML")):
        (tmp_path / name).write_bytes(b"epochs: \xff")
        with pytest.raises(ConfigError, match=f"a.{what.lower()} is not valid {what}"):
            read_values(tmp_path / name)
    (tmp_path / "empty.yaml").write_text("")
    assert read_values(tmp_path / "empty.yaml") == {}
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_values(tmp_path)


# Values


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("7", Kind(int), 7), (7.0, Kind(int), 7), ("1e3", Kind(int), 1000), ("4/2", Kind(int), 2),
        ("-3", Kind(int), -3), (" 3 ", Kind(int), 3), (3, Kind(float), 3.0),
        ("1/4", Kind(float), 0.25), (True, Kind(bool), True), (Path("a/b"), Kind(str), "a/b"),
        (Fraction(1, 8), Kind(float), 0.125), ("true", Kind(bool), True),
        ("false", Kind(bool), False), ("", Kind(str), ""),
        (None, Kind(int, optional=True), None), (32, Kind(str, choices=("32",)), "32"),
        ("a, b,,c ", Kind(str, several=True), ("a", "b", "c")), ("", Kind(str, several=True), ()),
        ({"a": 1, "b": "x"}, Kind(str, several=True), ("a=1", "b=x")),
        ([1, "2"], Kind(int, several=True), (1, 2)), (5, Kind(int, several=True), (5,)),
        (0.5, Kind(float, several=True), (0.5,)), (Path("x"), Kind(str, several=True), ("x",)),
        ((), Kind(int, several=True), ()), (None, Kind(str, several=True, optional=True), None),
    ],
)  # fmt: skip
def test_values_come_to_their_type(value: object, kind: Kind, expected: object) -> None:
    found = coerce("name", value, kind)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        (None, Kind(int), "must be a whole number; got None"),
        (True, Kind(int), "must be a whole number; got True"),
        (True, Kind(float), "must be a number; got True"),
        (False, Kind(str), "must be a text; got False"),
        (3, Kind(str), "must be a text; got 3"),
        (33, Kind(str, choices=("32",)), "must be a text; got 33"),
        (1, Kind(bool), "must be true or false; got 1"),
        ("yes", Kind(bool), "must be true or false; got 'yes'"),
        (None, Kind(bool), "must be true or false; got None"),
        ([], Kind(bool), r"must be true or false; got \[\]"),
        ("1/0", Kind(float), "must be a number; got '1/0'"),
        ("a/b", Kind(float), "must be a number; got 'a/b'"),
        ("nan", Kind(float), "must be a number; got 'nan'"),
        (math.inf, Kind(float), "must be a number; got inf"),
        ([1], Kind(float), "must be a number"),
        (2.5, Kind(int), "must be a whole number; got 2.5"),
        ("1/3", Kind(int), "must be a whole number"),
        (None, Kind(int, several=True), "must be a list; got None"),
        ({1, 2}, Kind(int, several=True), "must be a list"),
        ([1, "x"], Kind(int, several=True), "must be a whole number; got 'x'"),
        (True, Kind(int, several=True), "must be a whole number; got True"),
    ],
)
def test_values_of_another_type_are_refused(value: object, kind: Kind, words: str) -> None:
    with pytest.raises(ConfigError, match=f"^name {words}"):
        coerce("name", value, kind)


@dataclass(frozen=True, kw_only=True)
class _Bake(Config):
    env_prefix = "BAKE_"

    minutes: int = option(40, "Time.", low=1, high=90)
    heat: float = option(0.5, "Heat.", low=0, high=1, below=True)
    salt: float = share(0.1, "Salt.")
    sugar: float = below_one(0.1, "Sugar.")
    eggs: int = from_zero(0, "Eggs.")
    cakes: int = from_one(1, "Cakes.")
    weight: float = above_zero(1.0, "Weight.")
    form: str = one_of("Form", "round", "square", own="module:form", short="-f")
    fan: bool = switch("Fan.")
    notes: tuple[str, ...] = option(list, "Notes.")
    sizes: tuple[int, ...] = option((), "Sizes.", low=2)
    guests: int | None = option(None, "Guests.", low=1)


def test_fields_know_their_type_limits_and_help() -> None:
    assert kinds_of(_Bake) == {
        "minutes": Kind(int), "heat": Kind(float), "salt": Kind(float), "sugar": Kind(float),
        "eggs": Kind(int), "cakes": Kind(int), "weight": Kind(float),
        "form": Kind(str, choices=("round", "square")), "fan": Kind(bool),
        "notes": Kind(str, several=True), "sizes": Kind(int, several=True),
        "guests": Kind(int, optional=True),
    }  # fmt: skip
    assert kinds_of(_Bake) is kinds_of(_Bake)
    by_name = {item.name: item.metadata for item in fields(_Bake)}
    assert by_name["form"]["help"] == "Form (round, square, module:form)."
    assert by_name["form"]["limits"].short == "-f"
    assert by_name["minutes"]["limits"] == Limits(low=1, high=90)
    assert Limits() == (-math.inf, math.inf, False, (), "", "", "", True, False)
    assert _Bake().fan is False
    assert _Bake().notes == ()
    assert _Bake().to_dict() == {
        "minutes": 40, "heat": 0.5, "salt": 0.1, "sugar": 0.1, "eggs": 0, "cakes": 1,
        "weight": 1.0, "form": "round", "fan": False, "notes": (), "sizes": (), "guests": None,
    }  # fmt: skip
    with pytest.raises(FrozenInstanceError):
        _Bake().eggs = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"minutes": 0}, "minutes must be at least 1 and at most 90; got 0"),
        ({"minutes": 91}, "at most 90; got 91"),
        ({"heat": 1}, "heat must be at least 0 and below 1; got 1.0"),
        ({"heat": -0.1}, "at least 0 and below 1"),
        ({"salt": 1.01}, "salt must be at least 0 and at most 1"),
        ({"sugar": 1}, "sugar must be at least 0 and below 1"),
        ({"eggs": -1}, "^eggs must be at least 0; got -1"),
        ({"cakes": 0}, "^cakes must be at least 1; got 0"),
        ({"weight": 0}, "^weight must be above 0; got 0.0"),
        ({"form": "rond"}, "form 'rond' is unknown. Did you mean 'round'"),
        ({"form": ""}, "form '' is unknown"),
        ({"sizes": [2, 1]}, "sizes must be at least 2; got 1"),
        ({"guests": 0}, "guests must be at least 1; got 0"),
    ],
)
def test_limits_hold(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        _Bake.make(values)


def test_limits_may_be_reached() -> None:
    baked = _Bake.make(
        {
            "minutes": 90, "heat": 0, "salt": 1, "sugar": 0, "eggs": 0, "cakes": 1,
            "weight": 1e-12, "form": "my:form", "fan": "true", "notes": "a,b", "sizes": 2,
            "guests": None,
        }
    )  # fmt: skip
    assert (baked.minutes, baked.form, baked.fan, baked.sizes) == (90, "my:form", True, (2,))
    assert _Bake(minutes=1).minutes == 1
    with pytest.raises(ConfigError, match="loss"):
        coerce("loss", object(), Kind(str))


def test_files_environment_and_arguments_in_this_order(tmp_path: Path) -> None:
    path = tmp_path / "bake.yaml"
    path.write_text("minutes: 10\neggs: 1\nform: square\n")
    environ = {"BAKE_EGGS": "2", "BAKE_FORM": "round", "EGGS": "9", "BAKE_CAKES": "3"}
    baked = _Bake.load(path, environ, form="my:form", cakes=None)
    assert (baked.minutes, baked.eggs, baked.form, baked.cakes) == (10, 2, "my:form", 3)
    assert _Bake.load(path, {}).eggs == 1
    assert _Bake.load(environ={}) == _Bake()
    path.write_text("eggz: 1")
    with pytest.raises(ConfigError, match=r"bake\.yaml: unknown key 'eggz'. Did you mean 'eggs'"):
        _Bake.load(path)
    with pytest.raises(ConfigError, match=r"^arguments: unknown key 'eggz'"):
        _Bake.load(eggz=1)
    with pytest.raises(ConfigError, match=r"^here: unknown key 3"):
        _Bake.make({3: 4}, source="here")  # type: ignore[dict-item]


def test_the_environment_of_the_process_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAKE_EGGS", "5")
    monkeypatch.setenv("EPOCHS", "5")
    assert _Bake.load().eggs == 5
    assert TrainConfig.load() == TrainConfig()


@dataclass(frozen=True, kw_only=True)
class _Serve(Config):
    eggs: int = from_zero(0, "Eggs.")
    plates: int = from_one(1, "Plates.")


def test_two_configs_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "both.toml"
    path.write_text("eggs = 4\nplates = 2\nminutes = 5\n")
    baked, served = load_configs([_Bake, _Serve], path, {}, {"plates": 3})
    assert (baked.eggs, baked.minutes, served.eggs, served.plates) == (4, 5, 4, 3)


def test_keys_are_checked_by_name() -> None:
    check_keys([], [], "here")
    check_keys(["a"], iter("ab"), "here")
    with pytest.raises(ConfigError, match=r"here: unknown key 'c'\. Known: a, b\."):
        check_keys(["a", "c"], "ab", "here")


def test_yaml_that_is_not_installed_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    path = tmp_path / "a.yaml"
    path.write_text("a: 1")
    with pytest.raises(MissingExtraError, match=r"mien\[train\]"):
        read_values(path)
    with pytest.raises(MissingExtraError, match=r"mien\[serve\]"):
        read_values(path, "serve")
    with pytest.raises(MissingExtraError, match=r"reading and writing YAML needs .*mien\[train\]"):
        _Bake().to_yaml()


@dataclass(frozen=True)
class _Numbers(Saved):
    _what = "numbers"

    values: tuple[float, ...]
    name: str = "x"

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(map(float, self.values)))
        if not self.values:
            raise ConfigError("none")


def test_saved_values_come_back_or_are_refused() -> None:
    assert _Numbers((1, 2)).to_dict() == {"values": [1.0, 2.0], "name": "x"}
    assert _Numbers.from_dict({"values": [1, 2]}) == _Numbers((1.0, 2.0))
    for value, words in (
        ({"valuse": []}, "^numbers unknown key|numbers: unknown key 'valuse'"),
        ({}, r"numbers: \{\} is not usable"),
        ({"values": ["a"]}, "is not usable: could not convert"),
        ({"values": 3}, "is not usable: .*not iterable"),
        ({"values": []}, "^none"),
    ):
        with pytest.raises(ConfigError, match=words):
            _Numbers.from_dict(value)


# Code of the user's own


def test_objects_are_found_by_module_and_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mien_own_thing.py").write_text("class A:\n    b = 3\n_hidden = 1\n")
    (tmp_path / "mien_own_broken.py").write_text("1 / 0\n")
    before = list(sys.path)
    try:
        assert load_object("mien_own_thing:A.b", "loss") == 3
        assert load_object("os.path:join", "loss") is os.path.join
        for name, words in (
            ("mien_own_thing", r"loss 'mien_own_thing': name it as module:attribute"),
            (":a", "module:attribute"),
            ("a:", "module:attribute"),
            ("mien_own_thing:B", r"there is no 'B' in it.* Known: A\."),
            ("mien_own_thing:A.c", "there is no 'c' in it"),
            ("mien_own_gone:a", r"loss 'mien_own_gone:a': 'mien_own_gone' .*searched for in .*"),
            ("mien_own_broken:a", "cannot be imported: ZeroDivisionError"),
        ):  # fmt: skip
            with pytest.raises(ConfigError, match=words):
                load_object(name, "loss")
    finally:
        sys.modules.pop("mien_own_thing", None)
    assert sys.path == before


def test_plugins_are_files_or_modules_and_run_once(tmp_path: Path) -> None:
    file = tmp_path / "mien_own_plugin.py"
    file.write_text("import mien_own_friend\nRUNS = []\nRUNS.append(1)\n")
    (tmp_path / "mien_own_friend.py").write_text("")
    before = list(sys.path)
    try:
        import_plugins([str(file)])
        module = sys.modules["mien_own_plugin"]
        import_plugins([str(file), "json"])
        assert sys.modules["mien_own_plugin"] is module
    finally:
        for name in ("mien_own_plugin", "mien_own_friend"):
            sys.modules.pop(name, None)
    broken = tmp_path / "mien_own_bad.py"
    broken.write_text("nonsense")
    with pytest.raises(ConfigError, match=r"--import '.*mien_own_bad\.py' cannot be imported"):
        import_plugins([str(broken)])
    assert "mien_own_bad" not in sys.modules
    with pytest.raises(ConfigError, match="cannot be imported: FileNotFoundError"):
        import_plugins([str(tmp_path / "gone.py")])
    with pytest.raises(ConfigError, match="--import 'mien_own_none' cannot be imported"):
        import_plugins(["mien_own_none"])
    assert sys.path == before


def test_entry_points_are_asked_for_names_that_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    asked: list[str] = []
    entry = importlib.metadata.EntryPoint("own", "mien_own_entry:x", settings.PLUGINS)

    def entries(group: str) -> list[Any]:
        asked.append(group)
        return [entry]

    monkeypatch.setattr(importlib.metadata, "entry_points", entries)
    settings.load_entry_points.cache_clear()
    try:
        assert knows({"a": 1}, "a")
        assert asked == []
        words = r"entry point 'own' \(mien.plugins\): 'mien_own_entry' cannot be imported"
        with pytest.raises(ConfigError, match=words):
            knows({"a": 1}, "b")
        entry = importlib.metadata.EntryPoint("own", "json", settings.PLUGINS)
        assert not knows({"a": 1}, "b")
        assert not knows({}, "b")
        assert asked == ["mien.plugins"] * 2, "once, when it went well"
    finally:
        settings.load_entry_points.cache_clear()


# What contradicts itself


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"device": "cuda:x"}, "device must be auto, cpu, cuda, cuda:1 or mps; got 'cuda:x'"),
        ({"device": "my:cuda:1"}, "device must be"),
        ({"scale_min": 1.2}, r"scale_max \(1.15\) must not be below scale_min \(1.2\)"),
        ({"epochs": 3, "warmup_epochs": 3.5}, "must be below epochs"),
        ({"epochs": 4, "warmup_epochs": 4}, "must be below epochs"),
        ({"size": 7}, r"size must be 0 \(the network's own\) or at least 8; got 7"),
        ({"first_size": 1}, r"first_size must be 0 \(off\) or at least 8; got 1"),
        ({"freeze_epochs": 1}, "they need freeze: features"),
        ({"unfreeze": 1}, "they need freeze: features"),
        ({"freeze": "features", "weights": "w", "freeze_epochs": 40}, "must be below epochs"),
        ({"freeze": "features", "weights": "w", "unfreeze": 1}, "unfreeze needs freeze_epochs"),
        ({"freeze": "features"}, "would keep features of chance"),
        ({"freeze_bn": True}, "would keep the statistics of no data"),
        ({"distill_views": 1}, "distill_views needs teachers"),
        ({"loss": "class_balanced", "class_weight": "inverse"}, "weighs by the effective number"),
        (
            {"loss": "my:loss", "class_weight": "effective"},
            "does not reach into a loss of your own",
        ),
        ({"sampler": "weighted", "logit_adjustment": 1}, "weighted and logit_adjustment each make"),
        ({"sampler": "weighted", "class_weight": "inverse"}, "weighted and class weights each"),
        ({"loss": "class_balanced", "logit_adjustment": 0.1}, "adjustment and class weights each"),
    ],
)
def test_what_contradicts_itself_is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        TrainConfig.make(values)


@pytest.mark.parametrize(
    "values",
    [
        {"device": "cuda:12"}, {"scale_min": 1.0, "scale_max": 1.0}, {"size": 8, "first_size": 8},
        {"freeze": "features", "weights": "w", "freeze_epochs": 39, "unfreeze": 1},
        {"freeze": "features", "weights": "w"}, {"freeze_bn": True, "weights": "w"},
        {"distill_views": 1, "teachers": "t"}, {"loss": "class_balanced"},
        {"loss": "class_balanced", "class_weight": "effective"}, {"class_weight": "inverse"},
        {"loss": "my:loss"}, {"sampler": "weighted"}, {"logit_adjustment": 1},
        {"loss": "my:loss", "sampler": "weighted"}, {"epochs": 4, "warmup_epochs": 3.9},
    ],
)  # fmt: skip
def test_what_goes_together_is_taken(values: dict[str, Any]) -> None:
    config = TrainConfig.make(values)
    assert {name: getattr(config, name) for name in values} == values


@pytest.mark.parametrize(("epochs", "warmup"), [(1, 0.5), (2, 1.0), (3, 2.0), (40, 2.0)])
def test_the_usual_warm_up_bends_to_few_epochs(epochs: int, warmup: float) -> None:
    assert TrainConfig(epochs=epochs).warmup_epochs == warmup


#: A default that changes changes every training that does not name it.
DEFAULTS = {
    "data": "",
    "preset": "",
    "labels": "",
    "model": "mienet_s",
    "model_args": "",
    "size": 0,
    "first_size": 0,
    "first_share": 0.5,
    "color": "",
    "weights": "",
    "freeze": "none",
    "freeze_epochs": 0,
    "unfreeze": 0,
    "layer_decay": 1.0,
    "freeze_bn": False,
    "epochs": 40,
    "batch_size": 128,
    "optimizer": "sgd",
    "lr": 0.1,
    "momentum": 0.9,
    "weight_decay": 0.0005,
    "schedule": "cosine",
    "warmup_epochs": 2.0,
    "decay_factor": 0.1,
    "decay_every": 10,
    "ema_decay": 0.998,
    "loss": "cross_entropy",
    "teachers": "",
    "distill_weight": 0.7,
    "distill_temperature": 2.0,
    "distill_views": 0,
    "focal_gamma": 2.0,
    "label_smoothing": 0.0,
    "class_weight": "none",
    "class_weight_beta": 0.999,
    "sampler": "shuffle",
    "logit_adjustment": 0.0,
    "logit_adjustment_by": "all",
    "dropout": 0.0,
    "flip": 0.5,
    "rotate": 15.0,
    "scale_min": 0.85,
    "scale_max": 1.15,
    "shift": 0.1,
    "light": 0.3,
    "blur": 0.1,
    "low_resolution": 0.1,
    "low_resolution_min": 0.4,
    "noise": 0.1,
    "erase": 0.25,
    "augmentation": "",
    "randaugment": 0,
    "randaugment_strength": 0.5,
    "mixup": 0.5,
    "mixup_alpha": 0.3,
    "cutmix": 0.0,
    "cutmix_alpha": 1.0,
    "mixup_off": 0.15,
    "monitor": "accuracy",
    "patience": 0,
    "callbacks": "",
    "logger": "none",
    "limit": 0,
    "precision": "auto",
    "device": "auto",
    "threads": 0,
    "devices": 1,
    "num_nodes": 1,
    "workers": 2,
    "shuffle_buffer": 8192,
    "tag": "",
    "license": "unknown",
    "imports": (),
    "seed": 0,
}
_FREE = [-math.inf, math.inf, False]
LIMITS = {
    "size": [0, 1024, False],
    "first_size": [0, 1024, False],
    "first_share": [0, 1, False],
    "freeze_epochs": [0, math.inf, False],
    "unfreeze": [0, math.inf, False],
    "layer_decay": [1e-12, 1, False],
    "epochs": [1, math.inf, False],
    "batch_size": [2, math.inf, False],
    "lr": [1e-12, math.inf, False],
    "momentum": [0, 1, True],
    "weight_decay": [0, math.inf, False],
    "warmup_epochs": [0, math.inf, False],
    "decay_factor": [1e-12, 1, False],
    "decay_every": [1, math.inf, False],
    "ema_decay": [0, 1, True],
    "distill_weight": [0, 1, False],
    "distill_temperature": [1e-12, math.inf, False],
    "distill_views": [0, 64, False],
    "focal_gamma": [0, math.inf, False],
    "label_smoothing": [0, 1, True],
    "class_weight_beta": [0, 1, True],
    "logit_adjustment": [0, math.inf, False],
    "dropout": [0, 1, True],
    "flip": [0, 1, False],
    "rotate": [0, math.inf, False],
    "scale_min": [1e-12, math.inf, False],
    "shift": [0, 1, False],
    "light": [0, 1, True],
    "blur": [0, 1, False],
    "low_resolution": [0, 1, False],
    "low_resolution_min": [0.05, 0.8, False],
    "noise": [0, 1, False],
    "erase": [0, 1, False],
    "randaugment": [0, 16, False],
    "randaugment_strength": [0, 1, False],
    "mixup": [0, 1, False],
    "mixup_alpha": [1e-12, math.inf, False],
    "cutmix": [0, 1, False],
    "cutmix_alpha": [1e-12, math.inf, False],
    "mixup_off": [0, 1, False],
    "patience": [0, math.inf, False],
    "limit": [0, math.inf, False],
    "threads": [0, math.inf, False],
    "devices": [1, math.inf, False],
    "num_nodes": [1, math.inf, False],
    "workers": [0, math.inf, False],
    "shuffle_buffer": [1, math.inf, False],
    "seed": [0, math.inf, False],
}
OTHERS = {
    "preset": (("", "small", "quick", "best"), "", "", ""),
    "data": ((), "", "-d", ""),
    "color": (("", "gray", "rgb"), "", "", ""),
    "freeze": (("none", "features"), "", "", ""),
    "batch_size": ((), "", "-b", ""),
    "optimizer": (
        ("sgd", "momentum", "rmsprop", "adam", "adamw"),
        "timm:NAME, module:callable",
        "",
        "",
    ),
    "schedule": (
        ("cosine", "step", "exponential", "one_cycle", "plateau", "constant"),
        "module:callable",
        "",
        "",
    ),
    "loss": (("cross_entropy", "focal", "kl", "class_balanced"), "module:callable", "", ""),
    "sampler": (("shuffle", "weighted"), "", "", ""),
    "logit_adjustment_by": (("all", "source"), "", "", ""),
    "logger": (("none", "tensorboard", "wandb", "mlflow"), "module:callable", "", ""),
    "precision": (("auto", "32", "bf16"), "", "", ""),
    "device": (("auto", "cpu", "cuda", "mps"), "cuda:1", "", ""),
    "workers": ((), "", "-j", ""),
    "imports": ((), "", "", "--import"),
}


def test_defaults_stay_as_they_are() -> None:
    assert TrainConfig().to_dict() == DEFAULTS
    limits = {
        item.name: [getattr(item.metadata["limits"], side) for side in ("low", "high", "below")]
        for item in fields(TrainConfig)
    }
    assert {name: found for name, found in limits.items() if found != _FREE} == LIMITS
    others = {
        item.name: (found.choices, found.own, found.short, found.flag)
        for item in fields(TrainConfig)
        if (found := item.metadata["limits"])[3:7] != ((), "", "", "")
    }
    assert others == OTHERS


def test_a_recipe_needs_a_dataset() -> None:
    check_data(TrainConfig(data="folder:x"))
    with pytest.raises(ConfigError, match="no dataset: give --data KIND:PATH"):
        check_data(TrainConfig())
    assert split_names(" a, b,,c ") == ["a", "b", "c"]
    assert split_names("") == []


def test_the_end_of_a_name_tells_the_language(tmp_path: Path) -> None:
    for suffix in (".yaml", ".YML", ".conf", ""):
        path = tmp_path / f"a{suffix}"
        path.write_text("a: [")
        with pytest.raises(ConfigError, match="is not valid YAML"):
            read_values(path)
    with pytest.raises(TypeError):
        _Bake.make({}, "here")  # type: ignore[call-arg]
