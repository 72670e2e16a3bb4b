"""The report as one HTML page that opens offline."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from mien import __version__
from mien.data.inspection.explain import MEANINGS
from mien.data.inspection.finding import readable_name
from mien.data.inspection.overview import classes, measures, page_text, samples, spellings
from mien.data.inspection.pictures import small_url
from mien.data.inspection.style import STYLE

if TYPE_CHECKING:
    from mien.data.inspection.finding import Finding, Inspection

_CASES = 12
_PICTURES = 6
_LINES = 40
_LEVEL_WORDS = {"leak": "leak", "fault": "fault", "note": "note"}


def render(inspection: Inspection) -> str:
    """Returns the page: leakage first, then faults, the data itself, and notes.

    Pictures are embedded; nothing is loaded from anywhere. Of long lists the first cases are
    shown and the rest is in the JSON.
    """
    manifest = inspection.manifest
    title = f"{manifest.source}: what the data hides"
    serious = [item for item in inspection.findings if item.level != "note"]
    notes = [item for item in inspection.findings if item.level == "note"]
    body = [
        _head(inspection),
        *(_finding(inspection, item) for item in serious),
        classes(inspection),
        samples(inspection),
        measures(inspection),
        spellings(inspection),
        *(["<h2>Worth knowing</h2>"] if notes else []),
        *(_finding(inspection, item) for item in notes),
        _foot(inspection),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{page_text(title)}</title><style>{STYLE}</style></head>\n<body><main>"
        + "\n".join(body)
        + "</main></body></html>\n"
    )


def _head(inspection: Inspection) -> str:
    manifest, leaks = inspection.manifest, inspection.leaks
    faults = [item for item in inspection.findings if item.level == "fault"]
    if leaks:
        lead = "".join(f"<li>{page_text(item.title)}</li>" for item in leaks)
        verdict = (
            '<div class="verdict leak"><strong>Leakage: scores on this data are not '
            f"honest.</strong><ul>{lead}</ul></div>"
        )
    else:
        verdict = (
            '<div class="verdict clean"><strong>No leakage found.</strong> No picture, mirrored '
            "copy, source or subject stands in two splits.</div>"
        )
    splits = " · ".join(
        f"{int((manifest.splits == name).sum()):,} {name}" for name in manifest.counts()
    )
    return (
        f'<header><p class="mark">mien data inspect</p><h1>{page_text(manifest.source)}</h1>'
        f'<p class="sub">{len(manifest):,} pictures ({splits}) · {len(manifest.schema)} labels '
        f"({page_text(manifest.schema.name)}) · {_kinds(len(leaks), 'leak')} · "
        f"{_kinds(len(faults), 'fault')}</p></header>{verdict}"
    )


def _finding(inspection: Inspection, item: Finding) -> str:
    rows = []
    if item.groups:
        for at, group in enumerate(item.groups[:_CASES]):
            line = item.details[at] if item.details else ""
            rows.append(_case(inspection, group, line))
        shown = f'<div class="cases">{"".join(rows)}</div>'
        left = item.count - len(rows)
    else:
        lines = item.details[:_LINES]
        shown = "<ul>" + "".join(f"<li>{page_text(line)}</li>" for line in lines) + "</ul>"
        left = item.count - len(lines)
    more = f'<p class="more">and {left:,} more, all in the JSON</p>' if left > 0 else ""
    return (
        f'<section class="finding {item.level}" id="{item.kind}"><h3>'
        f'<span class="badge">{_LEVEL_WORDS[item.level]}</span>{page_text(item.title)}</h3>'
        f"<p>{_with_code(MEANINGS.get(item.kind, ''))}</p>{shown}{more}</section>"
    )


def _with_code(text: str) -> str:
    parts = html.escape(text).split("`")
    return "".join(f"<code>{p}</code>" if at % 2 else p for at, p in enumerate(parts))


def _kinds(count: int, what: str) -> str:
    return f"{count or 'no'} {'kind' if count == 1 else 'kinds'} of {what}"


def _case(inspection: Inspection, group: tuple[int, ...], line: str) -> str:
    manifest = inspection.manifest
    figures = []
    for index in group[:_PICTURES]:
        url = small_url(manifest.images, index)
        k = int(manifest.class_ids[index])
        label = manifest.schema.labels[k] if k >= 0 else "no majority"
        key = page_text(manifest.images.key(index))
        shown = f'<img src="{url}" alt="{key}">' if url else '<span class="lost"></span>'
        figures.append(
            f'<figure title="{key}">{shown}<figcaption>{page_text(label)}<br>'
            f'<span class="split {manifest.splits[index]}">{manifest.splits[index]}</span>'
            "</figcaption></figure>"
        )
    extra = f"<span>+{len(group) - _PICTURES}</span>" if len(group) > _PICTURES else ""
    name = page_text(_short(readable_name(manifest.images.key(group[0]))))
    text = f"{page_text(line)}<br>" if line else ""
    return (
        f'<div class="case"><div class="row">{"".join(figures)}{extra}</div>'
        f'<p class="line">{text}<code>{name}</code></p></div>'
    )


def _short(name: str, length: int = 44) -> str:
    return name if len(name) <= length else "…" + name[1 - length :]


def _foot(inspection: Inspection) -> str:
    s = inspection.settings
    return (
        f"<footer>Near copies: perceptual hashes within {s.get('max_bits', '?')} of 64 bits and a "
        f"correlation of at least {s.get('near', '?')} on 24x24 gray pixels. "
        f"{len(inspection.manifest):,} pictures in {inspection.seconds:.1f} s. "
        f"Made by mien {__version__}.</footer>"
    )
