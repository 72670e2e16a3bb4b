"""The texts of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mien.demo.keeping import LONGEST_S, READ_S

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mien.demo.config import DemoConfig
    from mien.demo.models import Model

HEAD = f"""# What does a face look like?

Send a photo, open your camera or send a clip: **mien** finds the faces and says which expression
people would most likely see in each. It reads looks, not feelings.

**Nothing is kept.** Photos and clips lie in a private folder while they are read and are deleted
within {round(READ_S) + 10} seconds after; the annotated copy of a clip stays {LONGEST_S / 60:.0f}
minutes at most, for you to play. What the Camera tab sees is never written to disk. Nothing is
counted, sent on or trained with.
"""

LIMITS = """
## What the numbers mean

A probability of 90% means: of ten such faces *of the kind the model was measured on*, about nine
got that label from the people who rated them. All probabilities of a face sum to 100%. With other
cameras, ages or cultures the figures need not hold. Look at the second guess, too.

## What it looked at

The map marks places of the face that speak for an expression, relative to the strongest such
place. It says where, not how much and not why, and bright places are no proof of a reason.

## What it cannot know

- **Feelings.** People scowl when they concentrate and smile when they are embarrassed. Faces and
  feelings go together too loosely to tell one from the other.
- **Context.** One picture does not show what was said or what happened before.
- **Anything else.** Not who somebody is, nor honesty, health, character or fitness for a job.
- **Its own blind spots.** It was not measured by age, sex, skin tone, culture, disability, glasses
  or headscarves; expect that it reads some people worse than others.

## Please

Send pictures of yourself, or of people who agreed. Do not use the answers to assess applicants,
employees, pupils, travellers, customers or anybody who does not know; in the European Union much of
that is forbidden.

"""

NO_CLIPS = """
Cameras and clips need an extra that this installation lacks. Type
`pip install "mien[demo,video]"` and start the page again.
"""


def live(seconds: int) -> str:
    """Returns what stands above the camera."""
    return (
        "Turn the camera on and press **Record**. Always the latest picture is read: what came "
        f"while the model was busy is left out. After {seconds // 60} minutes it stops, so that "
        "others get their turn; just start again. Away from this computer, browsers open cameras "
        "only for pages under https."
    )


def clips(config: DemoConfig) -> str:
    """Returns what stands above the clip."""
    return (
        f"Up to {config.max_seconds:g} seconds and {config.max_mb:g} MB. You get the clip with "
        "boxes, a timeline of each face, and how much of the time it looked like what."
    )


def model_table(models: Mapping[str, Model]) -> str:
    """Returns what is known of the models, in Markdown."""
    rows = ["## The models", "", "| model | measured accuracy | learned from | licence |"]
    rows.append("|---|---|---|---|")
    for name, model in models.items():
        config = model.recognizer.config
        scores = config.metrics.get("valid") or {}
        measured = "not measured"
        if scores:
            low, high = scores["accuracy_ci"]
            measured = f"{scores['accuracy']:.1%} ({low:.1%} to {high:.1%}) of validation faces"
        cells = (name, measured, config.data, config.license)
        rows.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(rows)
