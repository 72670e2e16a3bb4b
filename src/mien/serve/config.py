"""The service's settings: keys of a file, environment variables and flags.

Later wins: defaults, file (``-c``), environment (``MIEN_PORT=8080``), flags (``--port 8080``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar

from mien.config import Config, from_one, from_zero, one_of, option
from mien.detectors import DEFAULT_DETECTOR
from mien.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ServeConfig(Config):
    """Everything that decides how the service runs.

    Raises:
        ConfigError: If a value is out of range or of the wrong type.

    >>> ServeConfig(port="8080").port
    8080
    """

    env_prefix: ClassVar[str] = "MIEN_"
    extra: ClassVar[str] = "serve"

    host: str = option("127.0.0.1", "Address to listen on; 0.0.0.0: all, then set API keys.")
    port: int = from_zero(8000, "Port; 0: any free one, printed at the start.", high=65535)
    metrics_port: int = from_zero(
        0, "Port of the metrics alone, without a key; 0: only /metrics, with one.", high=65535
    )
    root_path: str = option("", "Path that a proxy puts in front, as in /mien; stripped or not.")
    workers: int = from_one(1, "Processes.", high=256, short="-j")
    model: tuple[str, ...] = option(
        (),
        "Model folder or bundled name, or NAME=FOLDER; repeat it; the first is the default.",
        short="-m",
    )
    detector: tuple[str, ...] = option(
        (DEFAULT_DETECTOR, "none"),
        "Face detectors that a request may name; repeat it; the first is the default.",
    )
    device: str = option("auto", "auto, cpu, cuda or cuda:1.")
    threads: int = from_zero(0, "Threads inside one network run; 0: all cores.", high=256)
    decoders: int = from_zero(0, "Threads that decode and detect; 0: one per core.", high=256)
    batch_size: int = from_one(64, "Most faces in one network run.", high=4096, short="-b")
    batch_wait_ms: float = from_zero(2.0, "Longest wait for a batch to fill.", high=1000)
    queue_size: int = from_one(128, "Pictures accepted at once; beyond it 503.", high=1_000_000)
    deadline_s: float = option(10.0, "Longest time from accepted to answered, else 504.", low=0.01)
    max_body_mb: float = option(
        20.0, "Largest request body, megabytes (10^6).", low=0.001, high=1000
    )
    clips: int = from_zero(
        4, "Clips held at once, waiting, being read or done; 0: none are taken.", high=1000
    )
    max_clip_mb: float = option(
        100.0, "Largest clip, megabytes (10^6); it is held in memory.", low=0.001, high=10_000
    )
    max_clip_s: float = option(600.0, "Longest clip, seconds.", low=0.1)
    keep_clip_s: float = option(600.0, "Time after which a clip that ended is forgotten.", low=0)
    max_pixels: int = from_one(25_000_000, "Most pixels a picture may have.")
    max_images: int = from_one(32, "Most pictures in one request.", high=10_000)
    max_uploads: int = from_one(
        32, "Bodies that one client may be sending at once; beyond it 429.", high=100_000
    )
    rate: float = from_zero(0.0, "Requests per second and client; 0: no limit.")
    burst: int = from_zero(0, "Requests a client may make at once; 0: twice the rate.")
    api_keys_file: str = option("", "File with one sha256 (or NAME:SHA256) of an API key per line.")
    api_keys: tuple[str, ...] = option(
        (), "sha256 of an API key (or NAME:SHA256); repeat it. Empty, and no file: no key needed."
    )
    cors_origin: tuple[str, ...] = option((), "Web origin that may call; repeat it; none: off.")
    header_timeout_s: float = option(10.0, "Longest time for a request's headers.", low=0.1)
    body_timeout_s: float = option(
        20.0,
        "Longest silence of a body; in all it may take this and 1 s per 10,000 bytes.",
        low=0.1,
    )
    shutdown_s: float = from_one(30.0, "Longest time to finish what was accepted, at the end.")
    max_connections: int = from_one(1000, "Open connections per process; beyond it 503.")
    max_idle: int = from_zero(
        256,
        "Idle connections that one address may hold per process; beyond it the one idle longest is "
        "closed; 0: any number.",
        high=100_000,
    )
    log_level: str = one_of("What is logged", "info", "debug", "warning", "error")

    def check(self) -> None:
        """Refuses no detector, and an address that is none."""
        if not self.host:
            raise ConfigError(f"host must be an address, as in 127.0.0.1; got {self.host!r}.")
        if self.root_path and (self.root_path[0] != "/" or self.root_path[-1] == "/"):
            raise ConfigError(f"root_path must be as in /mien; got {self.root_path!r}.")
        if not self.detector:
            raise ConfigError("detector: name at least one, for example none.")

    @property
    def max_body(self) -> int:
        """Largest request body in bytes."""
        return int(self.max_body_mb * 1_000_000)

    @property
    def needs_key(self) -> bool:
        """Whether clients must send an API key."""
        return bool(self.api_keys or self.api_keys_file)

    @property
    def max_clip(self) -> int:
        """Largest clip in bytes."""
        return int(self.max_clip_mb * 1_000_000)

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
