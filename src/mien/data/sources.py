"""What specs say of several datasets: what each is called, and how often it is drawn."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mien.data.registry import parse_spec
from mien.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mien.data.manifest import Manifest

#: Stands between the specs of a joined manifest's source.
_JOINT = " + "


@dataclass(frozen=True)
class Source:
    """One dataset of a training or an evaluation.

    Args:
        name: What it is called: its ``name=``, else its kind, with a number where that is taken.
        spec: ``KIND:PATH[,key=value...]``.
        kind: The word before the colon.
        weight: The share of the faces drawn in training that are of it; None: see
            :func:`draw_shares`.
        license: Its terms, as the spec gives them.
    """

    name: str
    spec: str
    kind: str
    weight: float | None = None
    license: str = "unknown"


def list_specs(specs: str | Sequence[str]) -> list[str]:
    """Returns the specs of one dataset or several as a list."""
    return [specs] if isinstance(specs, str) else list(specs)


def show_specs(specs: str | Sequence[str]) -> str:
    """Returns the specs as one text, which is the source of a joined manifest."""
    return _JOINT.join(list_specs(specs))


def data_name(specs: str | Sequence[str]) -> str:
    """Returns what a card calls the data: the kind of a dataset, or the names of several."""
    sources = parse_sources(specs)
    return sources[0].kind if len(sources) == 1 else _JOINT.join(source.name for source in sources)


def specs_of(manifest: Manifest) -> str | list[str]:
    """Returns the spec that a manifest was read from, or those."""
    return manifest.source if manifest.sources is None else manifest.source.split(_JOINT)


def parse_sources(specs: str | Sequence[str]) -> tuple[Source, ...]:
    """Returns what the specs of one dataset or several say of each.

    Raises:
        ConfigError: If a name or weight is impossible, or two have one name.
        DataError: If a path does not exist.

    >>> [source.name for source in parse_sources(["folder:.", "folder:..", "folder:.,name=own"])]
    ['folder', 'folder2', 'own']
    """
    parsed = [(spec, *parse_spec(spec)) for spec in list_specs(specs)]
    given = [options["name"] for *_, options in parsed if "name" in options]
    made, taken = [], set(given)
    for spec, kind, _, options in parsed:
        name = options.get("name", "")
        if "name" in options and not re.fullmatch(r"[A-Za-z0-9_][\w.-]*", name):
            reason = f"has the name {name!r}; it must be of letters, digits, dots, - and _"
            raise ConfigError(reason, subject=spec)
        if given.count(name) > 1:
            raise ConfigError(f"has the name {name!r}, as another dataset has", subject=spec)
        if not name:
            name = next(
                n for at in range(1, 10**6) if (n := f"{kind}{at if at > 1 else ''}") not in taken
            )
            taken.add(name)
        terms = options.get("license") or "unknown"
        made.append(Source(name, spec, kind, _weight(spec, options), terms))
    return tuple(made)


def _weight(spec: str, options: Mapping[str, str]) -> float | None:
    if "weight" not in options:
        return None
    try:
        weight = float(options["weight"])
    except ValueError:
        weight = -1.0
    if not 0 < weight <= 1:
        reason = f"has weight={options['weight']}; it must be above 0 and at most 1"
        raise ConfigError(reason, subject=spec, hint="It is a share of the faces drawn: 0.5: half.")
    return weight


def draw_shares(sources: Sequence[Source], counts: Mapping[str, int]) -> dict[str, float] | None:
    """Returns the share of the faces drawn in training that is of each source.

    A weight is that share. Sources without one share the rest by their training faces.

    Args:
        sources: What the specs say.
        counts: Training faces by source; a source that is not in it has none.

    Returns:
        Shares that sum to 1; None where no weight is given: each face is drawn once per epoch.

    Raises:
        ConfigError: If the weights leave nothing for the others, or do not sum to 1 without them.

    >>> sources = [Source("a", "", "csv"), Source("b", "", "csv", 0.5), Source("c", "", "csv")]
    >>> draw_shares(sources, {"a": 300, "b": 20, "c": 100})
    {'a': 0.375, 'b': 0.5, 'c': 0.125}
    """
    given = {source.name: source.weight for source in sources if source.weight is not None}
    if not given:
        return None
    empty = [name for name in given if not counts.get(name)]
    if empty:
        raise ConfigError(f"has a weight, but no training faces: {', '.join(empty)}")
    others = sum(counts.get(source.name, 0) for source in sources if source.name not in given)
    total = sum(given.values())
    if total > 1 + 1e-6 or (not others and total < 1 - 1e-6) or (others and total > 1 - 1e-6):
        rule = "stay below 1, since other datasets share the rest" if others else "sum to 1"
        told = ", ".join(f"{name} {weight:g}" for name, weight in given.items())
        raise ConfigError(
            f"weights of datasets are shares of the faces drawn and must {rule}: {told}"
        )
    rest = max(1 - total, 0.0)
    return {
        source.name: given[source.name]
        if source.name in given
        else rest * counts.get(source.name, 0) / max(others, 1)
        for source in sources
    }
