"""What specs say of several datasets: what each is called, and how often it is drawn."""

from __future__ import annotations

import itertools
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
    made: list[Source] = []
    for spec, kind, _, options in parsed:
        if len(parsed) > 1 and _JOINT in spec:
            reason = f"has {_JOINT!r} in it, which stands between the names of several datasets"
            raise ConfigError(reason, subject=spec, hint="Rename the file or folder.")
        name = options.get("name", kind)
        if not re.fullmatch(r"[A-Za-z0-9_][\w.+-]*", name):
            reason = f"has the name {name!r}; it must be of letters, digits, dots, - and _"
            raise ConfigError(reason, subject=spec)
        if given.count(name) > 1:
            raise ConfigError(f"has the name {name!r}, as another dataset has", subject=spec)
        if "name" not in options:
            taken = {*given, *(source.name for source in made)}
            numbered = (f"{kind}{number}" for number in itertools.count(2))
            name = next(n for n in itertools.chain([kind], numbered) if n not in taken)
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
    """Returns the share of the faces drawn in training that is of each source, in all 1.

    A weight is that share; sources without one share the rest by their training faces, of which
    ``counts`` are the numbers. None: no weight is given, each face is drawn once per epoch.

    Raises:
        ConfigError: If the weights leave nothing for the others, or do not sum to 1 without them.

    >>> sources = [Source("a", "", "csv"), Source("b", "", "csv", 0.5), Source("c", "", "csv")]
    >>> draw_shares(sources, {"a": 300, "b": 20, "c": 100})
    {'a': 0.375, 'b': 0.5, 'c': 0.125}
    """
    given = {source.name: source.weight for source in sources if source.weight is not None}
    if not given:
        return None
    if empty := [name for name in given if not counts.get(name)]:
        raise ConfigError(f"has a weight, but no training faces: {', '.join(empty)}")
    others = sum(count for name, count in counts.items() if name not in given)
    total = sum(given.values())
    if total > 1 - 1e-6 if others else abs(total - 1) > 1e-6:
        rule = "stay below 1, since other datasets share the rest" if others else "sum to 1"
        told = ", ".join(f"{name} {weight:g}" for name, weight in given.items())
        reason = f"weights of datasets are shares of the faces drawn and must {rule}: {told}"
        raise ConfigError(reason)
    rest = {name: (1 - total) * count / max(others, 1) for name, count in counts.items()}
    return {source.name: given.get(source.name, rest.get(source.name, 0.0)) for source in sources}
