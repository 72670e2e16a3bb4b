"""Flags that several verbs share, and those that come from the fields of a settings class."""

from __future__ import annotations

import functools
import inspect
from dataclasses import MISSING, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer
from typer.core import TyperCommand

from mien.config import Config, import_plugins, kinds_of, load_configs
from mien.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import Field

    from mien.config import Kind, Limits

#: Endings of files that people mean where they type one, besides pictures and clips.
_FILES = frozenset(
    {".csv", ".tsv", ".xlsx", ".json", ".jsonl", ".parquet", ".pdf", ".html", ".md", ".txt",
     ".yaml", ".zip", ".tar", ".onnx", ".pt", ".pth", ".safetensors", ".srt"}
)  # fmt: skip
#: How a result is printed, and one with rows.
Format = StrEnum("Format", ["table", "json"])
RowsFormat = StrEnum("RowsFormat", ["table", "json", "csv"])


def flag(help_text: str, *names: str, **options: Any) -> Any:
    """Describes a flag; without names it is called as its parameter."""
    return typer.Option(*names, help=help_text, **options)


def output_flag(help_text: str, *, folder: bool = False) -> Any:
    """Describes ``-o``: what is written; a ``folder`` may not be called like a file."""
    return flag(help_text, "-o", "--output", callback=check_folder_name if folder else None)


def check_folder_name(path: Path | None) -> Path | None:
    """Returns the path of a folder; to make one whose name ends like a file's is a ConfigError."""
    if path is not None and path.suffix and not path.is_dir():
        from mien.images import IMAGE_SUFFIXES
        from mien.video.config import is_video_name

        ending = path.suffix.lower()
        if ending in _FILES or ending in IMAGE_SUFFIXES or is_video_name(path):
            hint = f"Name a folder, for example {path.with_suffix('')}."
            if ending in {".csv", ".json", ".jsonl"}:
                form = ending[1:].rstrip("l")
                hint += f" What is printed goes into a file with --format {form} > {path}"
            raise ConfigError("is no name for a folder", subject=f"-o {path}", hint=hint)
    return path


def _import(names: list[str] | None) -> list[str] | None:
    import_plugins(names or ())
    return names


_MODEL = "Model folder or bundled name"
Model = Annotated[str | None, flag(f"{_MODEL}.", "-m", "--model")]
Models = Annotated[list[str] | None, flag(f"{_MODEL}; may be repeated.", "-m", "--model")]
Runs = Annotated[
    list[str], typer.Argument(metavar="RUN RUN ...", help="Model folders or bundled names.")
]


def _one_dataset(specs: list[str] | None) -> list[str] | None:
    if specs:
        from mien.data.registry import one_spec

        one_spec(specs)
    return specs


_DATA = "Dataset, KIND:PATH, for example folder:faces"
#: One dataset, a list of one spec, so that a second is refused and not passed over.
Data = Annotated[list[str], flag(f"{_DATA}.", "-d", "--data", callback=_one_dataset)]
OptionalData = Annotated[
    list[str] | None,
    flag("Dataset of labelled faces, KIND:PATH.", "-d", "--data", callback=_one_dataset),
]
Datasets = Annotated[list[str], flag(f"{_DATA}; repeat it for several.", "-d", "--data")]
OptionalDatasets = Annotated[
    list[str] | None,
    flag("Dataset of labelled faces, KIND:PATH; repeat it for several.", "-d", "--data"),
]
Split = Annotated[str, flag("train, valid or test.")]
Sources = Annotated[
    list[str] | None,
    typer.Argument(
        help="Photos, folders, globs, clips, 'sample' for the bundled photo, or - for a list of "
        "paths on stdin.",
        show_default=False,
    ),
]
SourceFlag = Annotated[list[str] | None, flag("Same as a plain argument.", "-s", "--source")]
Detector = Annotated[
    str | None, flag("Face detector: NAME or NAME:FILE; none: pictures are faces already.")
]
MinScore = Annotated[float | None, flag("Lowest score of a face, 0 to 1.")]
Labels = Annotated[str | None, flag("Label schema: hes3, fer7, ferplus8, or your own: happy,sad.")]
Backend = Annotated[str, flag("onnx or torch.")]
Device = Annotated[str, flag("auto, cpu, cuda or cuda:1.")]
BatchSize = Annotated[int, flag("Faces per network run.", "-b", "--batch-size", min=1)]
Workers = Annotated[int, flag("Threads that decode.", "-j", "--workers", min=1)]
Seed = Annotated[int, flag("Seed of what is drawn.")]
Print = Annotated[Format, flag("What is printed.")]
PrintRows = Annotated[RowsFormat, flag("What is printed; csv: one row per face.")]
ReportFile = Annotated[Path | None, output_flag("NAME.html, NAME.json or NAME.md.")]
License = Annotated[str, flag("Licence, for the card.")]
Picture = Annotated[Path | None, flag("NAME.png to draw.")]
Imports = Annotated[
    list[str] | None,
    flag(
        "Module or .py file with networks, detectors or readers of your own; repeat it.",
        "--import",
        callback=_import,
        is_eager=True,
    ),
]
OnError = StrEnum("OnError", {"proceed": "continue", "stop": "stop"})
OnErrorFlag = Annotated[
    OnError, flag("After a picture that cannot be read: continue with the rest, or stop.")
]
Overwrite = Annotated[bool, flag("Replace what exists.", "--overwrite")]
Quiet = Annotated[bool, flag("No progress bar.", "-q", "--quiet")]


class GroupedHelp(TyperCommand):
    """A command whose help lists its options by group."""

    #: Title -> names of parameters; those in none of them come last.
    groups: ClassVar[dict[str, tuple[str, ...]]] = {}

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Writes a section for each group."""
        parameters = {str(item.name): item for item in self.get_params(ctx)}
        named = {name for names in self.groups.values() for name in names}
        rest = tuple(name for name in parameters if name not in named)
        for title, names in {**self.groups, "Other": rest}.items():
            found = [parameters[name].get_help_record(ctx) for name in names if name in parameters]
            if rows := [row for row in found if row is not None]:
                with formatter.section(title):
                    formatter.write_dl(rows)


_METAVARS = {str: "<text>", int: "<int>", float: "<number>"}


def with_label_map(command: Callable[..., None]) -> Callable[..., None]:
    """Adds ``--label-map`` to a command with ``--data``: it becomes an option of the datasets."""

    def rename(specs: list[str], pairs: str) -> list[str]:
        from mien.data.registry import map_labels

        return map_labels(specs, pairs)

    shown = flag("Read labels of the data as others: old=new,old=new.", "--label-map")
    return _with_data_option(command, _parameter("label_map", str, shown), rename)


def with_on_error(command: Callable[..., None]) -> Callable[..., None]:
    """Adds ``--on-error`` to a command with ``--data``: it becomes an option of the datasets."""

    def stop(specs: list[str], chosen: OnError) -> list[str]:
        return [f"{spec},on_error={chosen}" for spec in specs]

    shown = flag("A picture of the data that cannot be read is left out; or stop there.")
    return _with_data_option(command, _parameter("on_error", OnError, shown), stop)


def _with_data_option(
    command: Callable[..., None],
    parameter: inspect.Parameter,
    change: Callable[[list[str], Any], list[str]],
) -> Callable[..., None]:
    """Adds a flag to a command with ``--data``: where it is given, it changes the specs."""

    @functools.wraps(command)
    def run(**given: Any) -> None:
        if (value := given.pop(parameter.name)) and value is not OnError.proceed:
            if not given.get("data"):
                name = f"--{parameter.name.replace('_', '-')}"
                raise ConfigError("is for what --data names: give that", subject=name)
            given["data"] = change(given["data"], value)
        command(**given)

    kept = inspect.signature(command, eval_str=True).parameters.values()
    parameters = [item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in kept]
    parameters.append(parameter)
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {item.name: item.annotation for item in parameters}
    del run.__wrapped__
    return run


def with_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Turns each :class:`Config` among a command's parameters into a flag for each of its fields.

    ``-c FILE`` is added, whose values the flags win over, unless the command has a ``config`` of
    its own. Two configs with a field of one name share its flag; other parameters come before them.
    """
    own: dict[str, inspect.Parameter] = {}
    configs: dict[str, type[Config]] = {}
    for name, parameter in inspect.signature(command, eval_str=True).parameters.items():
        typed = parameter.annotation
        if isinstance(typed, type) and issubclass(typed, Config):
            configs[name] = typed
        else:
            own[name] = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
    flags: dict[str, inspect.Parameter] = {}
    if "config" not in own:
        shown = flag("File of settings (YAML or TOML); flags win over it.", "-c", "--config")
        flags["config"] = _parameter("config", Path, shown)
    names: dict[str, str] = {}
    for cls in configs.values():
        for item in fields(cls):
            given_name = item.metadata["limits"].flag
            if given_name is not None and item.name not in own:
                names[item.name] = given_name or f"--{item.name.replace('_', '-')}"
                added = _field_flag(item, names[item.name], kinds_of(cls)[item.name])
                flags.setdefault(item.name, added)

    @functools.wraps(command)
    def run(**given: Any) -> None:
        path = given.pop("config", None) if "config" in flags else None
        values = {name: given.pop(name) for name in names}
        values = {name: value for name, value in values.items() if value not in (None, [])}
        try:
            made = load_configs(list(configs.values()), path, None, values)
        except ConfigError as error:
            if error.subject not in values:
                raise
            raise error.about(names[error.subject]) from None
        command(**given, **dict(zip(configs, made, strict=True)))

    parameters = [*own.values(), *flags.values()]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {item.name: item.annotation for item in parameters}
    del run.__wrapped__
    return run


def _field_flag(item: Field[Any], name: str, kind: Kind) -> inspect.Parameter:
    limits: Limits = item.metadata["limits"]
    is_switch, several = kind.base is bool, kind.several and limits.repeat
    names = [f"{name}/--no-{name[2:]}" if is_switch else name]
    names += [limits.short] if limits.short else []
    default: Any = item.default if item.default_factory is MISSING else item.default_factory()
    if kind.several and default is not None:
        default = (" " if limits.repeat else ",").join(map(str, default))
    unsaid = default is False or default in ("", None)
    shown = item.metadata["help"] + ("" if unsaid else f" [default: {default}]")
    # Numbers arrive as text: one place reads and refuses them, wherever they come from.
    typed: Any = bool if is_switch else list[str] if several else str
    metavar = None if is_switch else _METAVARS[kind.base]
    return _parameter(item.name, typed, flag(shown, *names, show_default=False, metavar=metavar))


def _parameter(name: str, typed: Any, shown: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=None, annotation=Annotated[typed | None, shown])
