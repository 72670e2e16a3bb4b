"""Logs as JSON lines: what happened, never what was in a picture, a name or a key."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

LOGGER = logging.getLogger("mien.serve")
_LOGGERS = ("", "py.warnings", "mien.serve", "uvicorn", "uvicorn.error", "uvicorn.access")


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON object; ``extra={"fields": {...}}`` adds members."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line."""
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log(event: str, level: int = logging.INFO, **fields: Any) -> None:
    """Logs one event."""
    LOGGER.log(level, event, extra={"fields": fields})


def set_up_logs(level: str) -> None:
    """Sends all that is said to stderr as JSON lines; uvicorn's access log stays off.

    Of other libraries, warnings and worse; Python's own warnings, and faults that nobody caught.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    for name in ("", "mien.serve", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = [] if name == "uvicorn.error" else [handler]
        logger.propagate = name == "uvicorn.error"
        logger.setLevel(level.upper() if name else "WARNING")
    # What uvicorn says of itself is for debugging: its addresses and counts are logged by us.
    if level != "debug":
        logging.getLogger("uvicorn").setLevel("WARNING")
    logging.getLogger("uvicorn.access").handlers = []
    logging.getLogger("uvicorn.access").propagate = False
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_fault
    threading.excepthook = lambda fault: _log_fault(*fault[:3])
    sys.unraisablehook = lambda fault: _log_fault(
        fault.exc_type, fault.exc_value, fault.exc_traceback
    )


def _log_fault(
    kind: type[BaseException], fault: BaseException | None, trace: TracebackType | None
) -> None:
    LOGGER.critical("failed", exc_info=(kind, fault or kind(), trace))


@contextmanager
def logs(level: str) -> Iterator[None]:
    """As :func:`set_up_logs`, until the context ends."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [(logger.handlers, logger.propagate, logger.level) for logger in loggers]
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    set_up_logs(level)
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
        for logger, (handlers, propagate, old) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(old)
