"""``mien serve``: every field of the settings is a flag."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, get_origin, get_type_hints

import typer

from mien.serve.config import ServeConfig, load_config


def _serve(
    config: Annotated[
        Path | None,
        typer.Option(
            "-c", "--config", help="Settings (YAML or TOML); environment and flags win over it."
        ),
    ] = None,
    **values: Any,
) -> None:
    """Answer over HTTP: REST, a WebSocket for frames, metrics, documents at /docs.

    Every flag is also a key of the config file and, with MIEN_ before it and in capitals, an
    environment variable (MIEN_PORT=8080). Ctrl-C or SIGTERM ends it when all is answered.
    """
    from mien.serve.server import serve

    serve(load_config(config, **values))


_SHORT = {"model": "-m", "batch_size": "-b", "workers": "-j"}


def _with_setting_flags() -> Any:
    """Gives the command a flag for each field of :class:`ServeConfig`, with its help text."""
    signature = inspect.signature(_serve, eval_str=True)
    hints = get_type_hints(ServeConfig)
    flags = []
    for item in fields(ServeConfig):
        several = get_origin(hints[item.name]) is tuple
        names = [f"--{item.name.replace('_', '-')}"]
        names += [_SHORT[item.name]] if item.name in _SHORT else []
        shown = " ".join(getattr(ServeConfig(), item.name)) if several else item.default
        default = "" if shown == "" else f" [default: {shown}]"
        kind: Any = list[str] if several else hints[item.name]
        option = typer.Option(*names, help=item.metadata["help"] + default, show_default=False)
        flags.append(
            inspect.Parameter(
                item.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=Annotated[kind | None, option],
            )
        )
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in signature.parameters.values()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]

    def command(**given: Any) -> None:
        _serve(**{key: value for key, value in given.items() if value not in (None, [])})

    command.__doc__ = _serve.__doc__
    command.__signature__ = inspect.Signature([*own, *flags])  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in (*own, *flags)}
    return command


command = _with_setting_flags()
