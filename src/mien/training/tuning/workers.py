"""Which worker runs each trial, whether it is still alive, and requeueing its trial if not."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.training.tuning.storage import MISSED

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

#: How often a trial is begun before its workers' deaths count as its own fault.
ATTEMPTS = 3


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

    On this machine a dead process is seen at once; elsewhere it is one whose signs of life have
    stopped.

    Args:
        study: The study, on a storage with signs of life.
        heartbeat: Seconds between them.
    """
    import warnings

    from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
    from optuna.storages import fail_stale_trials
    from optuna.trial import TrialState

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        fail_stale_trials(study)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        worker = trial.user_attrs.get("worker")
        if is_gone(worker) if worker else _never_begun(trial, heartbeat):
            try:
                study.tell(trial.number, state=TrialState.FAIL)
            except (UpdateFinishedTrialError, ValueError):
                continue  # another worker has just done it
            put_back(study, trial)
    _put_back_forgotten(study, heartbeat)


def _put_back_forgotten(study: Study, heartbeat: int) -> None:
    """Queues trials that a worker marked as failed and died before it queued them."""
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    lost, latest = lost_trials(trials), datetime.now() - timedelta(seconds=MISSED * heartbeat)
    for trial in trials:
        own_end = trial.state != TrialState.FAIL or "error" in trial.user_attrs
        ended = trial.datetime_complete
        if not own_end and trial.number not in lost and ended is not None and ended < latest:
            put_back(study, trial)


def _never_begun(trial: FrozenTrial, heartbeat: int) -> bool:
    """Says whether a worker died between taking a trial and its first sign of life."""
    begun = trial.datetime_start
    return begun is not None and datetime.now() - begun > timedelta(seconds=MISSED * heartbeat)


def lost_trials(trials: list[FrozenTrial]) -> set[int]:
    """Returns the numbers of trials that were put back: they count for nothing."""
    return {int(trial.user_attrs["again"]) for trial in trials if "again" in trial.user_attrs}


def count_finished(trials: list[FrozenTrial]) -> int:
    """Returns how many trials have come to an end of their own, good or bad."""
    lost = lost_trials(trials)
    return sum(trial.state.is_finished() and trial.number not in lost for trial in trials)
