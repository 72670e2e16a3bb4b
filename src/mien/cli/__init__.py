"""The ``mien`` command: one thin file per verb, loaded only when it is called."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from mien import __version__
from mien.atomic import is_full
from mien.errors import FAULT, ConfigError, MienError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Verb -> one line for the overview. Each verb is the function ``command`` of ``mien.cli.<verb>``,
#: or, where it has verbs of its own, the Typer ``app`` of that module.
VERBS = {
    "predict": "Find faces in photos, clips or a camera and read their expressions.",
    "train": "Train a model on labelled faces; the run is a model folder.",
    "tune": "Search for the best recipe: many trainings over a space of keys.",
    "ensemble": "Join models into one: a model folder with a single ONNX file.",
    "compare": "Set runs side by side: accuracy, size, speed, McNemar's test.",
    "evaluate": "Score a model on labelled faces: accuracy, calibration, classes.",
    "calibrate": "Set when a model's answers count as uncertain, on labelled faces.",
    "data": "Inspect a dataset, split it honestly, write it in another form.",
    "explain": "Show which parts of a face speak for an emotion.",
    "export": "Write a trained model as ONNX and other formats, each checked.",
    "benchmark": "Measure latency, throughput, start and memory on this machine.",
    "adopt": "Make a model folder of a classifier trained elsewhere.",
    "push": "Upload a model folder to the Hugging Face Hub, with its card.",
    "serve": "Answer over HTTP: REST, WebSocket, metrics.",
    "demo": "Open a web page for photos, the camera and clips.",
    "space": "Write the page as a Hugging Face Space.",
    "web": "Build a page that reads faces in the visitor's own browser.",
    "models": "List models, architectures, detectors and label schemas.",
    "doctor": "Check the installation and say what is missing.",
}

_EPILOG = (
    "Exit codes: 0 done, 1 failed or something left out, 2 wrong usage. Results go to stdout, "
    "progress to stderr."
)
#: What Typer raises on wrong usage; where its class lies differs between versions.
_ClickError: Any = typer.BadParameter.__mro__[2]


def new_app(**options: Any) -> typer.Typer:
    """Returns a Typer application with the settings that all of the command line shares."""
    return typer.Typer(
        add_completion=False,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
        **options,
    )


def _version(value: bool) -> None:
    if value:
        typer.echo(f"mien {__version__}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Read facial expressions: predict with a bundled model, or train your own."""


def _listed_only() -> None:
    raise AssertionError("listed for the overview, never called")  # pragma: no cover


def build_app(verb: str | None) -> typer.Typer:
    """Builds the command line; of all verbs only ``verb`` is imported."""
    app = new_app(epilog=_EPILOG)
    app.callback()(_root)
    for name, summary in VERBS.items():
        if name == verb:
            module = importlib.import_module(f"mien.cli.{name}")
            if hasattr(module, "app"):
                app.add_typer(module.app, name=name)
            else:
                app.command(name, cls=getattr(module, "Help", None))(module.command)
        else:
            app.command(name, help=summary)(_listed_only)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits with its code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    verb = next((word for word in given if not word.startswith("-")), None)
    from mien.cli.printing import failed

    try:
        command = typer.main.get_command(build_app(verb))
        with _told_remarks() as remarks:
            code = command.main(given, prog_name="mien", standalone_mode=False)
        if remarks.faults and not code:
            code = failed(*remarks.faults).exit_code
    except MienError as error:
        wrong_usage = isinstance(error, ConfigError) and not is_full(error.__cause__)
        _fail(str(error), 2 if wrong_usage else 1)
    except _ClickError as error:
        message = error.format_message()
        if message.startswith("Usage:"):  # a verb of verbs was given none of them
            print(message, file=sys.stderr)
            sys.exit(error.exit_code)
        path = error.ctx.command_path if getattr(error, "ctx", None) else "mien"
        _fail(f"{message.rstrip('.')}. Try: {path} --help", error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        print("stopped", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output went away (mien predict ... | head): nothing to complain about.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        if not is_full(error):
            raise
        subject = f"{error.filename} cannot be written" if error.filename else "a disk is full"
        _fail(f"{subject}: {error.strerror}. Free some space, or write elsewhere.", 1)
    sys.exit(code if isinstance(code, int) else 0)


class _Remarks(logging.Handler):
    """Prints each record of a logger to stderr, once, and keeps what is a fault."""

    def __init__(self) -> None:
        super().__init__()
        self._printed: set[str] = set()
        self.faults: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Prints a record."""
        if (text := record.getMessage()) not in self._printed:
            self._printed.add(text)
            print(text, file=sys.stderr, flush=True)
            if fault := getattr(record, FAULT, ""):
                self.faults.append(fault)


@contextmanager
def _told_remarks() -> Iterator[_Remarks]:
    """Prints warnings, and of data how it was understood; the faults among them are yielded."""
    every, data, handler = logging.getLogger("mien"), logging.getLogger("mien.data"), _Remarks()
    level = data.level
    every.addHandler(handler)
    data.setLevel(logging.INFO)
    try:
        yield handler
    finally:
        every.removeHandler(handler)
        data.setLevel(level)


def _fail(message: str, code: int) -> None:
    sys.stdout.flush()
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)
