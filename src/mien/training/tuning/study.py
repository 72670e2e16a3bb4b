"""Where a study is kept (its folder, and a database that workers share), and who works on it."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import time
import warnings
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import ConfigError, ModelError
from mien.training.directory import fixed_values, tell_changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from optuna import Study
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

    from mien.training.config import TrainConfig
    from mien.training.tuning.config import Space, TuneConfig

DATABASE = "study.db"
MARKER = "study.json"
#: Signs of life that may be missing before a worker counts as dead.
MISSED = 4
#: How often a trial is begun before its workers' deaths count as its own fault.
ATTEMPTS = 3
_OPENINGS = 5
_EXAMPLE = "postgresql://USER@HOST/DATABASE (the password in PGPASSWORD) or sqlite:///study.db"


def hide_password(url: str) -> str:
    """Returns a storage's URL as it may be printed.

    >>> hide_password("postgresql://ann:secret@host/db")
    'postgresql://ann:***@host/db'
    >>> hide_password("ann:secret@host")
    '(a URL that cannot be read)'
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return "(a URL that cannot be read)"
    # A password may also hide among the options, where SQLAlchemy does not look for it.
    secret = {key: "***" for key in parsed.query if "pass" in key.casefold()}
    return parsed.update_query_dict(secret).render_as_string(hide_password=True)


def open_storage(url: str, *, heartbeat: int) -> RDBStorage:
    """Opens the database of a study, and makes its tables where there are none.

    ``heartbeat`` are the seconds between the signs of life of a running trial; one whose worker
    fell silent is put back.
    """
    from optuna.exceptions import ExperimentalWarning, StorageInternalError
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import ArgumentError, IntegrityError, OperationalError, ProgrammingError

    shown = hide_password(url)
    for attempt in range(_OPENINGS):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                return RDBStorage(
                    _with_driver(url),
                    engine_kwargs={"pool_pre_ping": True},
                    heartbeat_interval=heartbeat,
                    grace_period=MISSED * heartbeat,
                    heartbeat_stale_trial_callback=put_back,
                )
        except (ArgumentError, ValueError) as error:
            raise ConfigError(f"--storage {shown} is no URL of a database: {_EXAMPLE}.") from error
        except ImportError as error:
            raise ConfigError(
                f"--storage {shown} needs a driver that is not installed: for PostgreSQL type "
                'pip install "psycopg[binary]".'
            ) from error
        except OperationalError as error:
            raise _unreachable(error, url) from None
        except (IntegrityError, ProgrammingError, StorageInternalError) as error:
            # Two workers that start at the same moment make the same tables: the second retries.
            if attempt + 1 == _OPENINGS:
                raise _unreachable(error.__cause__ or error, url) from None
            time.sleep(0.2 * (attempt + 1))
    raise AssertionError  # pragma: no cover


def _with_driver(url: str) -> str:
    """Lets ``postgresql://`` take the driver that is installed."""
    scheme, colon, rest = url.partition("://")
    if scheme not in {"postgresql", "postgres"} or importlib.util.find_spec("psycopg2"):
        return url
    return f"postgresql+psycopg{colon}{rest}"


def _unreachable(error: Any, url: str) -> ModelError:
    from sqlalchemy.engine import make_url

    said = " ".join(str(getattr(error, "orig", error)).split())
    for secret in filter(None, [make_url(url).password, *make_url(url).query.values()]):
        said = said.replace(str(secret), "***")
    local = make_url(url).get_backend_name() == "sqlite"
    check = "the folder and the room on its disk" if local else "host, name, user and password"
    return ModelError(
        f"the study's database {hide_password(url)} cannot be used: {said[:300]}",
        hint=f"Check {check}; finished trials are kept, and the same command goes on with "
        "--resume.",
    )


@contextmanager
def naming_storage(url: str) -> Iterator[None]:
    """Turns the failure of a database in the middle of a study into an error that names it."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        inner = error.__cause__ if isinstance(error, StorageInternalError) else None
        raise _unreachable(inner or error, url) from None


def sqlite_url(path: Path) -> str:
    """Returns the URL of a SQLite file."""
    from sqlalchemy.engine import URL

    return URL.create("sqlite", database=str(path)).render_as_string()


def prepare_folder(output: Path, name: str, *, shared: bool, resume: bool) -> None:
    """Makes the folder, or checks the one that is there."""
    marker, database = output / MARKER, output / DATABASE
    if marker.is_file():
        known = json.loads(marker.read_text(encoding="utf-8")).get("study")
        if known != name:
            reason = f"holds study {known!r}, not {name!r}: give another --output or --study"
            raise ConfigError(reason, subject=output)
    if marker.is_file() or (database.is_file() and not shared):
        if not (resume or shared):
            hint = "Type --resume to go on with it, or give another --output."
            raise ConfigError("holds a study already", subject=output, hint=hint)
    elif output.exists() and not (
        # Another worker may just be writing files.
        output.is_dir() and all(path.name.startswith(".") for path in output.iterdir())
    ):
        raise ConfigError("is in use and holds no study: give another --output", subject=output)
    if not shared:
        output.mkdir(parents=True, exist_ok=True)


def identity_of(recipe: TrainConfig, space: Space, settings: TuneConfig) -> dict[str, Any]:
    """Returns what must be equal for trials to be compared."""
    plain = {key: dimension.to_plain() for key, dimension in space.items()}
    return {"recipe": fixed_values(recipe), "space": plain, "metric": settings.metric}


def join_study(study: Study, identity: dict[str, Any]) -> None:
    """Takes a study for one's own, or checks that it is."""
    known = study.user_attrs
    for what, now in json.loads(json.dumps(identity)).items():
        then = known.get(what)
        if then is None:
            study.set_user_attr(what, now)
        elif then != now:
            is_table = isinstance(now, dict)
            told = tell_changes(then, now) if is_table else f"{then} then, {now} now"
            reason = f"study {study.study_name!r} was started with another {what}: {told}"
            hint = "Go on with the same, or give another --output and --study."
            raise ConfigError(reason, hint=hint)


def this_worker() -> dict[str, Any]:
    """Returns what tells this process from all others, on this machine and elsewhere.

    >>> is_gone(this_worker()), is_gone({**this_worker(), "pid": 2**22 + 1})
    (False, True)
    """
    return {**_place(), "pid": os.getpid(), "started": _started(os.getpid())}


def is_gone(worker: dict[str, Any]) -> bool:
    """Says whether a worker's process has ended, as far as this machine can tell.

    Of workers on other machines, or in other containers, nothing is known: False.
    """
    if any(worker.get(key) != value for key, value in _place().items()):
        return False
    try:
        os.kill(int(worker["pid"]), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass
    # Another process may have got the number since.
    return bool(worker["started"] != _started(int(worker["pid"])))


def _place() -> dict[str, str]:
    try:
        # Containers of one host name do not see each other's processes.
        processes = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - no file, a name
    except OSError:
        processes = ""
    return {"host": platform.node(), "processes": processes}


def _started(pid: int) -> str:
    """Returns when a process began, in ticks of its machine; empty where nobody tells."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    # The second field, the name in brackets, may hold blanks; state is the first after it. A
    # process that is dead and not yet buried runs no trial.
    after = fields.rpartition(")")[2].split()
    return "" if after[0] in "ZX" else after[19]


def put_back(study: Study, trial: FrozenTrial) -> None:
    """Queues a trial that lost its worker once more, with the same values.

    A trial that was begun three times is not put back: it is what kills its workers.
    """
    from optuna import create_trial
    from optuna.trial import TrialState

    attempt = int(trial.user_attrs.get("attempt", 1))
    if attempt >= ATTEMPTS:
        return
    study.add_trial(
        create_trial(
            state=TrialState.WAITING,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs={"again": trial.number, "attempt": attempt + 1},
            system_attrs=trial.system_attrs,
        )
    )


def put_back_lost(study: Study, *, heartbeat: int) -> None:
    """Marks running trials of dead workers as failed and queues them once more.

    On this machine a dead process is seen at once; elsewhere it is one whose signs of life, which
    come every ``heartbeat`` seconds, have stopped.
    """
    from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
    from optuna.storages import fail_stale_trials
    from optuna.trial import TrialState

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        fail_stale_trials(study)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        worker = trial.user_attrs.get("worker")
        # Without one it died between taking the trial and its first sign of life.
        if is_gone(worker) if worker else _is_old(trial.datetime_start, heartbeat):
            try:
                study.tell(trial.number, state=TrialState.FAIL)
            except (UpdateFinishedTrialError, ValueError):
                continue  # another worker has just done it
            put_back(study, trial)
    # A worker may have marked a trial as failed, and died before it queued it.
    trials = study.get_trials(deepcopy=False)
    lost = lost_trials(trials)
    for trial in trials:
        own_end = trial.state != TrialState.FAIL or "error" in trial.user_attrs
        if not own_end and trial.number not in lost and _is_old(trial.datetime_complete, heartbeat):
            put_back(study, trial)


def _is_old(time: datetime | None, heartbeat: int) -> bool:
    return time is not None and datetime.now() - time > timedelta(seconds=MISSED * heartbeat)


def lost_trials(trials: list[FrozenTrial]) -> set[int]:
    """Returns the numbers of trials that were put back: they count for nothing."""
    return {int(trial.user_attrs["again"]) for trial in trials if "again" in trial.user_attrs}


def count_finished(trials: list[FrozenTrial]) -> int:
    """Returns how many trials have come to an end of their own, good or bad."""
    lost = lost_trials(trials)
    return sum(trial.state.is_finished() and trial.number not in lost for trial in trials)
