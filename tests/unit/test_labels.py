from __future__ import annotations

import itertools
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mien.errors import ConfigError, DataError, MienError, MissingExtraError
from mien.labels import (
    ALIASES,
    FER7,
    FERPLUS8,
    HES3,
    SCHEMAS,
    LabelSchema,
    as_schema,
    find_label,
    get_schema,
    map_probs,
    mapping_matrix,
    spelling_remark,
    unknown_label,
)


def test_labels_may_be_listed() -> None:
    schema = as_schema("happy, sad")
    assert schema is not None
    assert (schema.index("joy"), schema.index("sadness")) == (0, 1)
    assert as_schema("bored,happy").labels == ("bored", "happy")  # type: ignore[union-attr]
    for wrong in ("happy,", "happy,Happy", "happy,joy"):
        with pytest.raises(ConfigError):
            as_schema(wrong)


@pytest.mark.parametrize(
    ("text", "labels", "class_id"),
    [
        ("angry", FER7.labels, 0),
        ("Anger", ("happy", "angry"), 1),
        ("joy", ("happy", "angry"), 0),
        ("calm", ("neutral", "calm"), 1),
        ("neutrality", ("neutral", "calm"), None),
        ("fear", ("happy", "angry"), None),
        ("bored", ("happy", "angry"), None),
    ],
)
def test_a_label_is_found_by_the_spellings_of_the_field(
    text: str, labels: tuple[str, ...], class_id: int | None
) -> None:
    assert find_label(text, LabelSchema("own", labels)) == class_id


def test_a_label_is_found_by_the_aliases_of_its_schema() -> None:
    assert find_label("Fine", LabelSchema("mood", ("bad", "good"), {"good": ("fine",)})) == 1


def test_unknown_labels_get_the_closest_and_what_to_type() -> None:
    said = unknown_label("hapiness", FER7.labels)
    assert "Did you mean 'happiness'" in said
    assert said.endswith("--label-map hapiness=happiness")
    assert unknown_label("7", FER7.labels).endswith("--label-map 7=LABEL")


@pytest.mark.parametrize(
    ("labels", "typed"),
    [
        (("7", "8"), "7=LABEL,..."),
        (("hapiness", "sadnes", "bored"), "hapiness=happiness,sadnes=sadness."),
        (("sadd", "bored"), "sadd=sad."),  # the shortest names that are compared
        (("hax", "bored"), ""),
        (("happy", "bored"), ""),
        (("7", "happy"), ""),
    ],
)
def test_labels_that_are_numbers_or_misspelled_are_remarked(
    labels: tuple[str, ...], typed: str
) -> None:
    remark = spelling_remark(LabelSchema("own", labels))
    assert remark.endswith(f"--label-map {typed}") if typed else remark == ""
    assert remark.startswith("the labels are numbers") == (labels == ("7", "8"))


def test_a_schema_that_equals_another_is_the_same() -> None:
    copy = replace(HES3)
    assert copy is not HES3
    np.testing.assert_array_equal(mapping_matrix(FERPLUS8, copy), mapping_matrix(FERPLUS8, HES3))
    np.testing.assert_array_equal(
        map_probs(np.array([[0.2, 0.1, 0.0]]), HES3, copy), [[0.2, 0.1, 0]]
    )


@pytest.mark.parametrize(("source", "target"), list(itertools.permutations(SCHEMAS.values(), 2)))
def test_every_pair_of_known_schemas_maps(source: LabelSchema, target: LabelSchema) -> None:
    probs = np.random.default_rng(0).dirichlet(np.ones(len(source)), 20)
    mapped = map_probs(probs, source, target)
    assert mapped.shape == (20, len(target))
    assert mapped.sum(axis=1) == pytest.approx(np.ones(20))


def test_mapping_follows_names_not_positions() -> None:
    for label in FER7.labels:
        probs = np.eye(8)[[FERPLUS8.index(label)]]
        assert FER7.labels[int(map_probs(probs, FERPLUS8, FER7)[0].argmax())] == label


def test_contempt_goes_where_fer2013_put_it() -> None:
    mapped = map_probs(np.eye(8)[[7]], FERPLUS8, FER7)[0]
    assert mapped.sum() == pytest.approx(1)
    assert mapped[FER7.index("anger")] == pytest.approx(47 / 119)


def test_nothing_left_gives_equal_shares() -> None:
    mapped = map_probs(np.eye(8)[[FERPLUS8.index("neutral")]], FERPLUS8, HES3)
    assert mapped[0] == pytest.approx(np.full(3, 1 / 3))


@pytest.mark.parametrize(
    ("spelling", "label"),
    [("Happy", "happiness"), (" ANGRY ", "anger"), ("fearful", "fear"), ("sad", "sadness")],
)
def test_aliases_are_known(spelling: str, label: str) -> None:
    assert FERPLUS8.index(spelling) == FERPLUS8.labels.index(label)
    assert spelling in FERPLUS8


def test_unknown_label_names_the_closest() -> None:
    with pytest.raises(DataError, match="happiness"):
        FERPLUS8.index("hapiness")
    assert "hapiness" not in FERPLUS8
    assert 3 not in FERPLUS8


@pytest.mark.parametrize(
    ("labels", "aliases"),
    [
        ((), {}),
        (("one",), {}),
        (("a", "a"), {}),
        (("a", "A"), {}),
        (("a", ""), {}),
        (("a", "b"), {"a": ("b",)}),
        (("a", "b"), {"a": ("x",), "b": ("X",)}),
        (("a", "b"), {"c": ("x",)}),
    ],
)
def test_impossible_schema_is_refused(
    labels: tuple[str, ...], aliases: dict[str, tuple[str, ...]]
) -> None:
    with pytest.raises(ConfigError):
        LabelSchema("x", labels, aliases)


@pytest.mark.parametrize(
    "value", [{}, {"labels": "ab"}, {"labels": 3}, {"labels": ["a", 3]}, {"labels": ["a", None]}]
)
def test_damaged_schema_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        LabelSchema.from_dict(value)


def test_round_trip() -> None:
    for schema in SCHEMAS.values():
        back = LabelSchema.from_dict(schema.to_dict())
        assert back == schema
        assert back.aliases == dict(schema.aliases)


def test_unknown_schema_names_the_closest() -> None:
    with pytest.raises(ConfigError, match="ferplus8"):
        get_schema("ferplus")


def test_missing_extra_names_the_command() -> None:
    error = MissingExtraError("training", "train", "torch")
    assert isinstance(error, (MienError, ImportError))
    assert 'pip install "mien[train]"' in str(error)
    assert "torch" in str(error)


@pytest.mark.parametrize(("source", "target"), list(itertools.product(SCHEMAS.values(), repeat=2)))
def test_mapping_matrix_is_a_share_or_nothing(source: LabelSchema, target: LabelSchema) -> None:
    matrix = mapping_matrix(source, target)
    assert matrix.shape == (len(source), len(target))
    assert (matrix >= 0).all()
    nowhere = {source.labels[row] for row in np.flatnonzero(matrix.sum(axis=1) == 0)}
    others = {"neutral", "surprise", "disgust", "fear", "contempt"} & set(source.labels)
    assert nowhere == (others if target is HES3 and source is not HES3 else set())
    kept = matrix.sum(axis=1) > 0
    assert matrix[kept].sum(axis=1) == pytest.approx(np.ones(kept.sum()))


def test_measured_shares_are_for_the_known_schemas_only() -> None:
    own = LabelSchema("fer7", ("happy", "sad"), {"happy": ("happiness",), "sad": ("sadness",)})
    assert map_probs(np.eye(8)[[FERPLUS8.index("sadness")]], FERPLUS8, own).tolist() == [[0, 1]]


@pytest.mark.parametrize("shape", [(8,), (3, 7), (3, 8, 1)])
def test_probabilities_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    for target in (FERPLUS8, HES3):
        with pytest.raises(DataError, match=r"shape \(N, 8\)"):
            map_probs(np.ones(shape), FERPLUS8, target)


def test_no_faces_map_to_no_faces() -> None:
    assert map_probs(np.zeros((0, 8)), FERPLUS8, HES3).shape == (0, 3)


def test_text_in_place_of_a_list_is_refused() -> None:
    with pytest.raises(ConfigError, match="letter by letter"):
        LabelSchema("x", ("good", "bad"), {"good": "fine"})  # type: ignore[dict-item]
    with pytest.raises(ConfigError, match="letter by letter"):
        LabelSchema("x", "ab")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="list of names"):
        LabelSchema.from_dict({"labels": ["good", "bad"], "aliases": {"good": "fine"}})


def test_label_with_two_meanings_in_the_target_is_refused() -> None:
    source = LabelSchema("a", ("upset", "calm"), {"upset": ("sad", "angry")})
    with pytest.raises(ConfigError, match="more than one label"):
        mapping_matrix(source, HES3)


def test_schemas_without_a_common_label_are_refused() -> None:
    with pytest.raises(ConfigError, match="no label in common"):
        map_probs(np.ones((1, 2)) / 2, LabelSchema("x", ("cat", "dog")), HES3)


@st.composite
def schemas(draw: st.DrawFn) -> LabelSchema:
    """Some of the known labels in any order, under one of their spellings each."""
    labels = draw(st.lists(st.sampled_from(FERPLUS8.labels), min_size=2, max_size=8, unique=True))
    names = [draw(st.sampled_from((label, *ALIASES[label]))) for label in labels]
    others = {
        name: tuple(word for word in (label, *ALIASES[label]) if word != name)
        for name, label in zip(names, labels, strict=True)
    }
    return LabelSchema("drawn", tuple(names), others)


def _meanings(schema: LabelSchema) -> list[str]:
    return [FERPLUS8.labels[FERPLUS8.index(label)] for label in schema.labels]


@given(schemas(), schemas(), st.integers(0, 9))
def test_any_two_schemas_map_by_meaning_and_keep_the_mass(
    source: LabelSchema, target: LabelSchema, seed: int
) -> None:
    probs = np.random.default_rng(seed).dirichlet(np.ones(len(source)), 3)
    have, wanted = _meanings(source), _meanings(target)
    if not set(have) & set(wanted):
        with pytest.raises(ConfigError, match="no label in common"):
            map_probs(probs, source, target)
        return
    mapped = map_probs(probs, source, target)
    assert mapped.sum(axis=1) == pytest.approx(np.ones(3))
    matrix = mapping_matrix(source, target)
    assert matrix.tolist() == [[float(mine == other) for other in wanted] for mine in have]
    shared = probs @ matrix
    assert mapped == pytest.approx(shared / shared.sum(axis=1, keepdims=True))
    if sorted(have) == sorted(wanted):
        assert map_probs(mapped, target, source) == pytest.approx(probs)


@given(st.text("abehinpy ßİ_\0é", max_size=8))
def test_any_text_is_a_label_or_told_the_closest(text: str) -> None:
    if text in FERPLUS8:
        assert 0 <= FERPLUS8.index(text) < 8
    else:
        with pytest.raises(DataError, match="is not a label of schema 'ferplus8'"):
            FERPLUS8.index(text)


def test_spellings_ignore_case_spaces_and_underscores() -> None:
    schema = LabelSchema("x", ("very_good", "bad"), {"bad": ("not good",)})
    assert [schema.index(name) for name in ("Very Good", " very_good ", "NOT_GOOD")] == [0, 0, 1]
    assert len(schema) == 2
    assert "verygood" not in schema


@pytest.mark.parametrize(
    ("labels", "aliases", "words"),
    [
        (("one",), {}, r"has 1 label\(s\), but a classifier needs at least two"),
        (("a", ""), {}, "has an empty label at 1"),
        (("a", 3), {}, "has an empty label at 1"),
        (("a", "b", "a"), {}, "'a' stands for two labels"),
        (("a", "b"), {"a": ("B",)}, "'b' stands for two labels"),
        (("happy", "sad"), {"hapy": ("x",)}, "'hapy', which is no label of it. Did you mean"),
    ],
)
def test_refusal_says_what_is_wrong(labels: Any, aliases: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        LabelSchema("x", labels, aliases)


def test_aliases_do_not_make_another_schema() -> None:
    plain, named = LabelSchema("x", ("a", "b")), LabelSchema("x", ("a", "b"), {"a": ("c",)})
    assert plain == named
    assert plain != LabelSchema("x", ("b", "a"))
    assert repr(plain) == "LabelSchema(name='x', labels=('a', 'b'), aliases={})"
    with pytest.raises(FrozenInstanceError):
        plain.name = "y"  # type: ignore[misc]


def test_a_list_of_labels_and_an_alias_of_itself_are_fine() -> None:
    schema = LabelSchema("x", ["a", "b"], {"a": ("A", "a")})  # type: ignore[arg-type]
    assert schema.labels == ("a", "b")
    assert schema.index("A") == 0


def test_schemas_are_found_by_their_names() -> None:
    assert [as_schema(name) for name in SCHEMAS] == [FERPLUS8, FER7, HES3]
    assert as_schema(None) is None
    assert as_schema(HES3) is HES3
    with pytest.raises(ConfigError, match="must be the name of a schema or a LabelSchema; got 3"):
        as_schema(3)  # type: ignore[arg-type]


def test_a_schema_without_a_name_or_aliases_is_read() -> None:
    schema = LabelSchema.from_dict({"labels": ["a", "b"]})
    assert (schema.name, schema.labels, dict(schema.aliases)) == ("custom", ("a", "b"), {})
    assert LabelSchema.from_dict({"labels": ["a", "b"], "aliases": None}) == schema


def test_measured_shares_of_contempt_are_all_119_faces() -> None:
    row = mapping_matrix(FERPLUS8, FER7)[FERPLUS8.index("contempt")] * 119
    assert row.round(6).tolist() == [47, 27, 20, 3, 12, 2, 8]


def test_probabilities_of_the_same_schema_come_back_as_they_are() -> None:
    probs = np.array([[0.2, 0.3, 0.5], [0.0, 0.0, 0.0]])
    assert map_probs(probs, HES3, HES3).tolist() == probs.tolist()


def test_hardly_anything_left_is_still_scaled_up() -> None:
    probs = np.zeros((2, 8))
    probs[:, FERPLUS8.index("neutral")] = 1
    probs[:, FERPLUS8.index("anger")] = 1e-6, 1e-12
    assert map_probs(probs, FERPLUS8, HES3)[0].tolist() == pytest.approx([1, 0, 0])
    assert map_probs(probs, FERPLUS8, HES3)[1].tolist() == pytest.approx([1 / 3] * 3)
