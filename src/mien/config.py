"""Settings: one dataclass is flags, keys of a file, environment variables and arguments at once.

A setting is written once, with its help and its limits, as a field of a :class:`Config`. From that
come the flags of the command line (:func:`mien.cli.flags.with_flags`), what a YAML or TOML file may
hold (:meth:`Config.load`), the checks of every value, and what is saved with a run
(:meth:`Config.to_yaml`). Nothing heavy is imported here.

Settings may name code of the user's own, as ``module:name``: losses, optimisers, schedules,
augmentations, loggers and callbacks. Networks, detectors, readers and explanation methods are
registered by modules instead: imported by hand, by ``--import``, or by the entry-point group
``mien.plugins`` of an installed package, which is read when a name is unknown.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import math
import os
import sys
import types
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, cast, get_args
from typing import get_origin as origin_of
from typing import get_type_hints as hints_of

from mien.errors import ConfigError, MissingExtraError, suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Values = Mapping[str, Any]

_NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
#: Entry points that packages name their modules under.
PLUGINS = "mien.plugins"
_KINDS: dict[type, dict[str, Kind]] = {}


class Limits(NamedTuple):
    """What a setting may be, from ``low`` to ``high`` or one of ``choices``, and how it is typed.

    With ``below`` it must stay below ``high``. ``own`` names, with a colon, what may stand outside
    of ``choices``. A ``flag`` of "" is derived from the name, None: only in files and Python. A
    list's flag is given once per value, or without ``repeat`` once, with commas. With ``auto`` that
    word may stand for a number, and is 0.
    """

    low: float = -math.inf
    high: float = math.inf
    below: bool = False
    choices: tuple[str, ...] = ()
    own: str = ""
    short: str = ""
    flag: str | None = ""
    repeat: bool = True
    auto: bool = False


def option(default: Any, help_text: str, **limits: Any) -> Any:
    """Returns a field of a :class:`Config`; its documentation is the help of its flag too.

    ``default`` may be a function without arguments; for the rest see :class:`Limits`.
    """
    metadata = {"help": help_text, "limits": Limits(**limits)}
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


share = functools.partial(option, low=0, high=1)
below_one = functools.partial(option, low=0, high=1, below=True)
from_zero = functools.partial(option, low=0)
from_one = functools.partial(option, low=1)
above_zero = functools.partial(option, low=1e-12)
switch = functools.partial(option, False)  # noqa: FBT003 - the default


def one_of(help_text: str, *choices: str, own: str = "", **limits: Any) -> Any:
    """Returns a field that is one of some texts, which the help lists; the first is the default.

    ``own`` is how something outside of them is named, with a colon, as in ``"module:callable"``.
    """
    shown = ", ".join(filter(None, (*choices, own)))
    return option(choices[0], f"{help_text} ({shown}).", choices=choices, own=own, **limits)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Base of all settings: frozen dataclasses whose fields are made by :func:`option`.

    A subclass says in :meth:`check` what depends on several fields.

    Raises:
        ConfigError: If a value is of the wrong type, out of its limits, or contradicts another.

    >>> @dataclass(frozen=True, kw_only=True)
    ... class Bake(Config):
    ...     minutes: int = option(40, "Time in the oven.", low=1)
    >>> Bake(minutes="50").to_dict()
    {'minutes': 50}
    >>> Bake.make({"minuts": 50})
    Traceback (most recent call last):
    ...
    mien.errors.ConfigError: arguments: unknown key 'minuts'. Did you mean 'minutes'?
    """

    #: Environment variables count too: this, and a field's name in capitals.
    env_prefix: ClassVar[str] = ""
    #: Extra of the package that brings the YAML reader.
    extra: ClassVar[str] = "train"

    def __post_init__(self) -> None:
        kinds = kinds_of(type(self))
        for item in fields(self):
            value = coerce(item.name, getattr(self, item.name), kinds[item.name])
            _check_limits(item.name, value, item.metadata["limits"])
            object.__setattr__(self, item.name, value)
        self.check()

    def check(self) -> None:
        """Refuses values that contradict each other; called once all are of their type."""

    @classmethod
    def complete(cls, values: Values) -> dict[str, Any]:
        """Returns given values with those that they stand for; what is given wins."""
        return dict(values)

    def to_dict(self) -> dict[str, Any]:
        """Returns the resolved values, in the order of the fields."""
        return asdict(self)

    def to_yaml(self) -> str:
        """Returns the resolved values as :meth:`load` reads them.

        Raises:
            MissingExtraError: If PyYAML is not installed.
        """
        text: str = _yaml(self.extra).safe_dump(self.to_dict(), sort_keys=False)
        return text

    @classmethod
    def make(cls, values: Values, *, source: str = "arguments") -> Self:
        """Builds it from keys and values; ``source`` names them in messages.

        Raises:
            ConfigError: If a key is unknown (the closest ones are named) or a value impossible.
        """
        check_keys(values, (item.name for item in fields(cls)), source)
        return cls(**cls.complete(values))

    @classmethod
    def load(
        cls, path: str | Path | None = None, environ: Values | None = None, **overrides: Any
    ) -> Self:
        """Builds it from a file, the environment and arguments; the later wins.

        Args:
            path: A YAML or TOML (``.toml``) file, or None.
            environ: Where ``env_prefix`` is looked up; None: the environment of the process.
            **overrides: Values by field; None means "not given".

        Raises:
            ConfigError: If the file cannot be read, a key is unknown or a value impossible.
            MissingExtraError: If the file is YAML and PyYAML is not installed.
        """
        made: Self = load_configs([cls], path, environ, overrides)[0]
        return made


def check_keys(values: Iterable[Any], known: Iterable[str], source: str) -> None:
    """Checks that every key is known."""
    names = list(known)
    for key in values:
        if key not in names:
            raise ConfigError(
                f"unknown key {key!r}.{suggest(str(key), names)}", subject=f"{source}:"
            )


class Saved:
    """A frozen dataclass of numbers and texts that a model folder's ``config.json`` holds."""

    _what: ClassVar[str]

    def to_dict(self) -> dict[str, Any]:
        """Returns plain JSON types; :meth:`from_dict` reads them back."""
        values = asdict(cast("Any", self))
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """Builds it from :meth:`to_dict`'s form.

        Raises:
            ConfigError: If a key is unknown, or a value missing or impossible.
        """
        check_keys(value, [item.name for item in fields(cast("Any", cls))], cls._what)
        try:
            return cls(**value)
        except ConfigError:
            raise
        except (TypeError, ValueError) as error:
            reason = f"{dict(value)!r} is not usable: {error}"
            raise ConfigError(reason, subject=f"{cls._what}:") from error


class Kind(NamedTuple):
    """The type of a setting: ``str``, ``int``, ``float`` or ``bool``, many of them, or None.

    With ``or_one`` one value stands for itself and is not read as a list with commas. With ``auto``
    that word is 0.
    """

    base: type
    several: bool = False
    optional: bool = False
    choices: tuple[str, ...] = ()
    or_one: bool = False
    auto: bool = False


def kinds_of(cls: type[Config]) -> dict[str, Kind]:
    """Returns the type of each field."""
    if cls not in _KINDS:
        hints, named = hints_of(cls), {item.name: item.metadata["limits"] for item in fields(cls)}
        _KINDS[cls] = {name: _kind(hints[name], limits) for name, limits in named.items()}
    return _KINDS[cls]


def _kind(hint: Any, limits: Limits) -> Kind:
    union = get_args(hint) if origin_of(hint) is types.UnionType else (hint,)
    parts = [part for part in union if part is not types.NoneType]
    several, optional = origin_of(parts[-1]) is tuple, len(parts) < len(union)
    base = get_args(parts[-1])[0] if several else parts[-1]
    return Kind(base, several, optional, limits.choices, or_one=len(parts) > 1, auto=limits.auto)


def coerce(name: str, value: Any, kind: Kind) -> Any:
    """Brings the value of a setting, wherever it comes from, to its type.

    >>> coerce("epochs", "3", Kind(int)), coerce("precision", 32, Kind(str, choices=("32",)))
    (3, '32')
    >>> coerce("mean", "1/2, 0.5", Kind(float, several=True))
    (0.5, 0.5)
    """
    if value is None and kind.optional:
        return None
    if kind.or_one and isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    if not kind.several or (kind.or_one and not isinstance(value, (list, tuple))):
        return _single(name, value, kind)
    if isinstance(value, dict):  # model: {fast: runs/fast}
        value = [f"{key}={entry}" for key, entry in value.items()]
    elif isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    elif isinstance(value, (int, float, Path)):
        value = [value]
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"must be a list; got {value!r}", subject=name)
    return tuple(_single(name, part, kind) for part in value)


def _single(name: str, value: Any, kind: Kind) -> Any:
    base = kind.base
    if kind.auto and value == "auto":
        return base(0)
    refused = ConfigError(f"must be {_NAMES[base]}; got {value!r}", subject=name)
    if base is bool:
        value = {"true": True, "false": False}.get(value, value) if type(value) is str else value
        if type(value) is not bool:
            raise refused
        return value
    if type(value) is bool:
        raise refused
    if base is str:
        # YAML reads `precision: 32` as a number.
        if isinstance(value, (str, Path)) or str(value) in kind.choices:
            return str(value)
        raise refused
    try:
        number = _number(value) if isinstance(value, str) else value
        whole = float(number) == int(number)
    except (TypeError, ValueError, ArithmeticError):
        raise refused from None
    if base is int and not whole:
        raise refused
    return base(number)


def _number(text: str) -> int | float | Fraction:
    """Reads ``12``, ``0.5``, ``1e-3`` or ``1/255``."""
    if "/" in text:
        return Fraction(text.strip())
    try:
        return int(text)
    except ValueError:
        return float(text)


def _check_limits(name: str, value: Any, limits: Limits) -> None:
    for part in value if isinstance(value, tuple) else (value,):
        if isinstance(part, (int, float)) and not isinstance(part, bool):
            low, high, below = limits[:3]
            if limits.auto and part == 0:
                continue
            if not low <= part <= high or (below and part == high):
                floor = "above 0" if 0 < low < 1e-6 else f"at least {low:g}"
                upper = f"{'below' if below else 'at most'} {high:g}"
                words = [word for word in (floor, upper) if "inf" not in word]
                raise ConfigError(f"must be {' and '.join(words)}; got {part!r}", subject=name)
        elif limits.choices and part is not None and part not in limits.choices:
            if limits.own and ":" in part:
                continue
            known = filter(None, limits.choices)
            raise ConfigError(f"{part!r} is unknown.{suggest(part, known)}", subject=name)


def _yaml(extra: str) -> Any:
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("reading and writing YAML", extra, "PyYAML") from error
    return yaml


def read_values(path: Path, extra: str = "train") -> dict[str, Any]:
    """Reads a flat mapping from a YAML or TOML (``.toml``) file; ``extra`` brings PyYAML."""
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            import tomllib

            return tomllib.loads(text)
        values = _yaml(extra).safe_load(text)
    except MissingExtraError:
        raise
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror or error}", subject=path) from error
    except Exception as error:
        # tomllib and PyYAML have errors of their own; text that is no UTF-8 is a ValueError.
        what = "TOML" if path.suffix == ".toml" else "YAML"
        raise ConfigError(f"is not valid {what}: {error}", subject=path) from error
    if not isinstance(values or {}, dict):
        raise ConfigError("must be a flat mapping of keys to values", subject=path)
    return dict(values or {})


def load_configs(
    classes: Sequence[type[Config]],
    path: str | Path | None,
    environ: Values | None,
    given: Values,
) -> list[Any]:
    """Builds several configs from one file and one set of arguments; equal names share a value."""
    values: dict[str, Any] = {}
    known = {item.name: cls for cls in classes for item in fields(cls)}
    if path is not None:
        values = read_values(Path(path), classes[0].extra)
        check_keys(values, known, str(path))
    check_keys(given, known, "arguments")
    environ = os.environ if environ is None else environ
    for name, cls in known.items():
        if cls.env_prefix and (found := environ.get(cls.env_prefix + name.upper())) is not None:
            values[name] = found
    values |= {name: value for name, value in given.items() if value is not None}
    return [
        cls(
            **cls.complete(
                {item.name: values[item.name] for item in fields(cls) if item.name in values}
            )
        )
        for cls in classes
    ]


def import_plugins(names: Iterable[str]) -> None:
    """Imports modules, or files that end in ``.py``, for what they register.

    A module is searched for where Python does, then in the current folder; none is run twice.
    """
    for name in names:
        path = Path(name)
        if path.suffix != ".py":
            _import(name, "--import")
        elif path.stem not in sys.modules:
            _import_file(Path(os.path.expanduser(path)).resolve())  # noqa: PTH111


def is_foreign(model: str) -> bool:
    """Says whether a network's name is a folder or a Hub repository instead of a registry's name.

    >>> is_foreign("google/vit-base-patch16-224-in21k"), is_foreign("timm:resnet18")
    (True, False)
    """
    return "/" in model or os.sep in model


def load_object(name: str, key: str) -> Any:
    """Imports what ``module:name`` names; both may hold dots. ``key`` is the setting that does.

    Modules are searched for where Python does, then in the current folder.
    """
    module, colon, attribute = name.partition(":")
    if not (colon and module and attribute):
        raise ConfigError(
            f"{name!r}: name it as module:attribute, as in my_losses:margin", subject=key
        )
    found = _import(module, f"{key} {name!r}:")
    for part in attribute.split("."):
        if not hasattr(found, part):
            known = [word for word in dir(found) if not word.startswith("_")]
            raise ConfigError(f"{key} {name!r}: there is no {part!r} in it." + suggest(part, known))
        found = getattr(found, part)
    return found


@functools.cache
def load_entry_points() -> None:
    """Imports what installed packages offer under ``mien.plugins``, once per process."""
    import importlib.metadata

    for entry in importlib.metadata.entry_points(group=PLUGINS):
        _import(entry.value.partition(":")[0], f"entry point {entry.name!r} ({PLUGINS}):")


def knows(registry: Mapping[str, object], name: str) -> bool:
    """Says whether a registry holds a name, with those of installed plugins if need be."""
    if name not in registry:
        load_entry_points()
    return name in registry


def _import(module: str, subject: str) -> Any:
    here = str(Path.cwd())
    with _searched(here, module, subject, f"It is searched for in {here} too."):
        return importlib.import_module(module)


def _import_file(path: Path) -> None:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        with _searched(str(path.parent), str(path), "--import"):
            spec.loader.exec_module(module)
    except ConfigError:
        del sys.modules[path.stem]
        raise


@contextlib.contextmanager
def _searched(folder: str, what: str, subject: str, hint: str = "") -> Iterator[None]:
    """Imports ``what``, which is searched for in one more folder."""
    added = folder not in sys.path
    if added:
        sys.path.append(folder)
    try:
        yield
    except Exception as error:  # whatever the module of a stranger raises
        reason = f"{what!r} cannot be imported: {type(error).__name__}: {error}"
        raise ConfigError(reason, subject=subject, hint=hint) from error
    finally:
        if added:
            sys.path.remove(folder)
