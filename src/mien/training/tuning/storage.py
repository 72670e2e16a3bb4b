"""Where a study is kept: a SQLite file, or a database that several workers share."""

from __future__ import annotations

import importlib.util
import time
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mien.errors import ConfigError, MienError, ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from optuna import Study
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

#: Signs of life that may be missing before a worker counts as dead.
MISSED = 4
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


def open_storage(
    url: str, *, heartbeat: int, when_stale: Callable[[Study, FrozenTrial], None]
) -> RDBStorage:
    """Opens the database of a study, and makes its tables where there are none.

    Args:
        url: Of SQLAlchemy's form; ``postgresql://`` takes the driver that is installed.
        heartbeat: Seconds between the signs of life of a running trial.
        when_stale: Called with the study and a trial whose worker fell silent.

    Raises:
        ConfigError: If the URL is none, or its driver is not installed.
        ModelError: If the database cannot be reached, or refuses; no password is named.
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
                    heartbeat_stale_trial_callback=when_stale,
                )
        except (ArgumentError, ValueError) as error:
            raise ConfigError(f"--storage {shown} is no URL of a database: {_EXAMPLE}.") from error
        except ImportError as error:
            raise ConfigError(
                f"--storage {shown} needs a driver that is not installed: for PostgreSQL type "
                'pip install "psycopg[binary]".'
            ) from error
        except OperationalError as error:
            raise _unreachable(shown, error, url) from None
        except (IntegrityError, ProgrammingError, StorageInternalError) as error:
            # Two workers that start at the same moment make the same tables: the second retries.
            if attempt + 1 == _OPENINGS:
                raise _unreachable(shown, error.__cause__ or error, url) from None
            time.sleep(0.2 * (attempt + 1))
    raise AssertionError  # pragma: no cover


def _with_driver(url: str) -> str:
    scheme, colon, rest = url.partition("://")
    if scheme not in {"postgresql", "postgres"} or importlib.util.find_spec("psycopg2"):
        return url
    return f"postgresql+psycopg{colon}{rest}"


def _unreachable(shown: str, error: Any, url: str) -> MienError:
    from sqlalchemy.engine import make_url

    said = " ".join(str(getattr(error, "orig", error)).split())
    secrets = [make_url(url).password, *make_url(url).query.values()]
    for secret in filter(None, secrets):
        said = said.replace(str(secret), "***")
    return ModelError(
        f"the study's database {shown} cannot be used: {said[:300]}",
        hint=(
            "Check host, name, user and password; finished trials are kept, and the same "
            "command goes on with --resume."
        ),
    )


@contextmanager
def naming_storage(url: str) -> Iterator[None]:
    """Turns the failure of a database in the middle of a study into an error that names it.

    Raises:
        ModelError: If it does not answer any more; no password is named.
    """
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except StorageInternalError as error:
        raise _unreachable(hide_password(url), error.__cause__ or error, url) from None
    except SQLAlchemyError as error:
        raise _unreachable(hide_password(url), error, url) from None
