"""The service's settings: one dataclass whose fields are file keys, environment and flags.

Later wins: defaults, file (``-c``), environment (``MIEN_PORT=8080``), flags (``--port 8080``).
Nothing heavy is imported here, so that the command line can list its flags.
"""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from mien.detectors import DEFAULT_DETECTOR
from mien.errors import ConfigError, MissingExtraError, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "MIEN_"


def _option(default: Any, help_text: str, low: float = 0, high: float = math.inf) -> Any:
    return field(default=default, metadata={"help": help_text, "low": low, "high": high})


@dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """Everything that decides how the service runs. The help of each field is its documentation.

    Raises:
        ConfigError: If a value is out of range or of the wrong type.

    >>> ServeConfig(port="8080").port
    8080
    """

    host: str = _option("127.0.0.1", "Address to listen on; 0.0.0.0: all, then set API keys.")
    port: int = _option(8000, "Port; 0: any free one, printed at the start.", 0, 65535)
    workers: int = _option(1, "Processes.", 1, 256)
    model: tuple[str, ...] = _option(
        (), "Model folder or bundled name, or NAME=FOLDER; repeat it; the first is the default."
    )
    detector: tuple[str, ...] = _option(
        (DEFAULT_DETECTOR, "none"),
        "Face detectors that a request may name; repeat it; the first is the default.",
    )
    threads: int = _option(0, "Threads inside one network run; 0: all cores.", 0, 256)
    decoders: int = _option(0, "Threads that decode and detect; 0: as many as cores.", 0, 256)
    batch_size: int = _option(64, "Most faces one network run takes.", 1, 4096)
    batch_wait_ms: float = _option(2.0, "Longest wait for a batch to fill.", 0, 1000)
    queue_size: int = _option(128, "Pictures accepted at once; beyond it 503.", 1, 1_000_000)
    deadline_s: float = _option(10.0, "Longest time from accepted to answered, else 504.", 0.01)
    max_body_mb: float = _option(20.0, "Largest request body, megabytes (10^6).", 0.001, 1000)
    max_pixels: int = _option(25_000_000, "Most pixels a picture may have.", 1)
    max_images: int = _option(32, "Most pictures in one request.", 1, 10_000)
    rate: float = _option(0.0, "Requests a second and client; 0: no limit.")
    burst: int = _option(0, "Requests a client may make at once; 0: twice the rate.")
    api_keys_file: str = _option("", "File with one sha256 of an API key a line (or NAME:SHA256).")
    api_keys: tuple[str, ...] = _option(
        (), "sha256 of an API key (or NAME:SHA256); repeat it. Empty, and no file: no key needed."
    )
    cors_origin: tuple[str, ...] = _option((), "Web origin that may call; repeat it; none: off.")
    header_timeout_s: float = _option(10.0, "Longest time for a request's headers.", 0.1)
    body_timeout_s: float = _option(20.0, "Longest time for a request's body.", 0.1)
    shutdown_s: float = _option(30.0, "Longest time to finish what was accepted, at the end.", 1)
    max_connections: int = _option(1000, "Open connections a process; beyond it 503.", 1)
    log_level: str = _option("info", "debug, info, warning or error.")

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for item in fields(self):
            value = _coerce(item.name, getattr(self, item.name), hints[item.name])
            low, high = item.metadata["low"], item.metadata["high"]
            if isinstance(value, (int, float)) and not low <= value <= high:
                most = "" if high == math.inf else f" and at most {high:g}"
                raise ConfigError(
                    f"must be at least {low:g}{most}; got {value!r}", subject=item.name
                )
            object.__setattr__(self, item.name, value)
        if self.log_level not in (levels := ("debug", "info", "warning", "error")):
            raise ConfigError(
                f"log_level {self.log_level!r} is unknown." + suggest(self.log_level, levels)
            )
        if not self.detector:
            raise ConfigError("detector: name at least one, for example none.")

    @property
    def max_body(self) -> int:
        """Largest request body in bytes."""
        return int(self.max_body_mb * 1_000_000)

    @property
    def cores(self) -> int:
        """Threads that decode and detect, resolved."""
        return self.decoders or os.cpu_count() or 1

    @property
    def models(self) -> dict[str, str | None]:
        """Name in requests -> folder or bundled name; None is the default model.

        Raises:
            ConfigError: If a name stands twice.
        """
        from mien.hub import name_models

        return dict(name_models(self.model)) or {"default": None}

    def to_dict(self) -> dict[str, Any]:
        """Returns the resolved values, in the order of the fields."""
        return asdict(self)


def _coerce(name: str, value: Any, kind: Any) -> Any:
    if kind is str:
        if isinstance(value, (str, Path)):
            return str(value)
        raise ConfigError(f"must be a text; got {value!r}", subject=name)
    if kind in (int, float):
        try:
            number = float("nan") if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if not math.isfinite(number) or (kind is int and number != int(number)):
            what = "a whole number" if kind is int else "a number"
            raise ConfigError(f"must be {what}; got {value!r}", subject=name)
        return kind(number)
    if isinstance(value, dict):  # models: {fast: runs/fast}
        value = [f"{key}={entry}" for key, entry in value.items()]
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, (list, tuple)) or not all(isinstance(part, str) for part in value):
        raise ConfigError(f"must be a list of texts; got {value!r}", subject=name)
    return tuple(value)


def read_settings(path: Path) -> dict[str, Any]:
    """Reads a flat YAML or TOML (``.toml``) file.

    Raises:
        ConfigError: If the file is missing, damaged, or not a mapping.
        MissingExtraError: If it is YAML and PyYAML is not installed.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"config {path} cannot be read: {reason}.") from error
    values: Any
    if path.suffix == ".toml":
        import tomllib

        try:
            values = tomllib.loads(content)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"config {path} is not valid TOML: {error}") from error
    else:
        try:
            import yaml
        except ImportError as error:
            raise MissingExtraError("reading a YAML config", "serve", "PyYAML") from error
        try:
            values = yaml.safe_load(content)
        except yaml.YAMLError as error:
            raise ConfigError(f"config {path} is not valid YAML: {error}") from error
    if not isinstance(values or {}, dict):
        raise ConfigError(f"config {path} must be a flat mapping of keys to values.")
    return dict(values or {})


def load_config(
    path: str | Path | None = None, environ: Mapping[str, str] | None = None, **flags: Any
) -> ServeConfig:
    """Lays file, environment and flags over the defaults.

    Args:
        path: A YAML or TOML file, or None.
        environ: Where ``MIEN_…`` is looked up; None: the process's environment.
        **flags: Values that win; None means "not given".

    Raises:
        ConfigError: If a key is unknown or a value impossible.

    >>> load_config(environ={"MIEN_PORT": "9000"}, workers=2).port
    9000
    """
    known = [item.name for item in fields(ServeConfig)]
    values = {} if path is None else read_settings(Path(path))
    for key in [*values, *flags]:
        if key not in known:
            where = f"config {path}" if key in values else "arguments"
            raise ConfigError(f"{where}: unknown key {key!r}." + suggest(str(key), known))
    environ = os.environ if environ is None else environ
    for name in known:
        if (given := environ.get(PREFIX + name.upper())) is not None:
            values[name] = given
    values |= {key: value for key, value in flags.items() if value is not None}
    return ServeConfig(**values)
