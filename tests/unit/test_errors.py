from __future__ import annotations

import copy
import pickle

import pytest

from mien import errors
from mien.errors import ConfigError, MienError, MissingExtraError, needs_extra, suggest


def test_every_error_is_of_one_tree() -> None:
    kinds = [
        kind
        for kind in vars(errors).values()
        if getattr(kind, "__module__", "") == errors.__name__ and isinstance(kind, type)
    ]
    assert {kind.__name__ for kind in kinds} == {
        "MienError", "InputError", "DetectorError", "ModelError", "DataError", "ConfigError",
        "MissingExtraError",
    }  # fmt: skip
    assert all(issubclass(kind, MienError) for kind in kinds)


def test_siblings_do_not_catch_each_other() -> None:
    kinds = MienError.__subclasses__()
    assert not any(issubclass(a, b) for a in kinds for b in kinds if a is not b)


def test_impossible_arguments_are_value_errors() -> None:
    assert issubclass(ConfigError, ValueError)
    assert not any(issubclass(kind, ValueError) for kind in (errors.InputError, errors.DataError))


def test_sentence_is_made_of_subject_reason_and_hint() -> None:
    error = errors.InputError("is empty", subject="a.jpg", hint="Fetch it again.")
    assert (error.subject, error.reason, error.hint) == ("a.jpg", "is empty", "Fetch it again.")
    assert str(error) == "a.jpg is empty. Fetch it again."
    assert str(error.about("b.jpg", hint="")) == "b.jpg is empty."


def test_missing_extra_is_an_import_error_that_names_the_command() -> None:
    with pytest.raises(ImportError) as caught:
        raise MissingExtraError("training", "train", "torch")
    assert str(caught.value) == (
        'training needs an extra (torch is not installed). Type: pip install "mien[train]"'
    )
    assert str(MissingExtraError("The page", "demo")) == (
        'The page needs an extra. Type: pip install "mien[demo]"'
    )


@pytest.mark.parametrize(
    "error",
    [MissingExtraError("training", "train", "torch"), ConfigError("no such flag"),
     ConfigError("is unknown", subject="--epohs", hint="Did you mean --epochs?")],
)  # fmt: skip
def test_error_survives_a_process_border(error: MienError) -> None:
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)


@pytest.mark.parametrize(
    ("given", "known", "expected"),
    [
        ("epohs", ["epochs", "lr"], " Did you mean 'epochs'?"),
        ("sad", ["sat", "sax", "zzz"], " Did you mean 'sax' or 'sat'?"),
        ("zzz", ["b", "a"], " Known: a, b."),
        ("x", [], ""),
    ],
)
def test_suggest_names_the_closest_else_all(given: str, known: list[str], expected: str) -> None:
    assert suggest(given, known) == expected


def test_missing_foreign_module_is_a_missing_extra() -> None:
    with (
        pytest.raises(MissingExtraError, match=r"the thing needs an extra \(gone_module"),
        needs_extra("the thing", "serve"),
    ):
        import gone_module  # type: ignore[import-not-found] # noqa: F401
