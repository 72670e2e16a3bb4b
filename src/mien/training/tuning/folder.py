"""The folder of a study, and what must be equal for its trials to be compared."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mien.errors import ConfigError
from mien.training.directory import FREE

if TYPE_CHECKING:
    from pathlib import Path

    from optuna import Study

    from mien.training.config import TrainConfig
    from mien.training.tuning.config import TuneConfig
    from mien.training.tuning.space import Space

DATABASE = "study.db"
MARKER = "study.json"


def sqlite_url(path: Path) -> str:
    """Returns the URL of a SQLite file."""
    from sqlalchemy.engine import URL

    return URL.create("sqlite", database=str(path)).render_as_string()


def prepare_folder(output: Path, name: str, *, shared: bool, resume: bool) -> None:
    """Makes the folder, or checks the one that is there.

    Raises:
        ConfigError: If it is in use.
    """
    marker, database = output / MARKER, output / DATABASE
    if marker.is_file():
        known = json.loads(marker.read_text(encoding="utf-8")).get("study")
        if known != name:
            raise ConfigError(
                f"holds study {known!r}, not {name!r}: give another --output or --study",
                subject=output,
            )
    if marker.is_file() or (database.is_file() and not shared):
        if not (resume or shared):
            raise ConfigError(
                "holds a study already",
                subject=output,
                hint="Type --resume to go on with it, or give another --output.",
            )
    elif output.exists() and not _is_free(output):
        raise ConfigError("is in use and holds no study: give another --output", subject=output)
    if not shared:
        output.mkdir(parents=True, exist_ok=True)


def _is_free(output: Path) -> bool:
    """Says whether a folder is empty but for files that another worker is just writing."""
    return output.is_dir() and all(path.name.startswith(".") for path in output.iterdir())


def identity_of(recipe: TrainConfig, space: Space, settings: TuneConfig) -> dict[str, Any]:
    """Returns what must be equal for trials to be compared."""
    fixed = {key: value for key, value in recipe.to_dict().items() if key not in FREE}
    plain = {key: dimension.to_plain() for key, dimension in space.items()}
    return {"recipe": fixed, "space": plain, "metric": settings.metric}


def join_study(study: Study, identity: dict[str, Any]) -> None:
    """Takes a study for one's own, or checks that it is.

    Raises:
        ConfigError: If it was started with another recipe, space or metric.
    """
    known = study.user_attrs
    for what, now in json.loads(json.dumps(identity)).items():
        then = known.get(what)
        if then is None:
            study.set_user_attr(what, now)
        elif then != now:
            told = f"{then} then, {now} now"
            if isinstance(now, dict):
                told = ", ".join(
                    f"{key} ({then.get(key)} then, {now.get(key)} now)"
                    for key in {**then, **now}
                    if then.get(key) != now.get(key)
                )
            raise ConfigError(
                f"study {study.study_name!r} was started with another {what}: {told}",
                hint="Go on with the same, or give another --output and --study.",
            )
