"""Trains a student on, from its written weights and the teachers' stored answers, on CPUs.

``python -m research.expression.further --faces runs/faces --out runs/further --seconds 4000``
needs neither teachers nor a GPU. It starts from a mean of the student's weights and those of the
network that FER+ alone taught, which reads better than either (README.md). FER+ has a larger share
of a batch than in the first run, since it is what fell behind; the answers of its own network count
double on its faces. The first part sees smaller faces, which takes less time. The rate falls to
zero over the given time, and the running mean of the weights is written every few minutes.

``--first-run`` trains the student of the first run anew instead, with its shares, MixUp and
answers and from where it started, so that seeds can be compared: ``--steps 7800 --seed 2`` is a
third of its epochs. ``--mild`` moves and corrupts faces less, for the end of a training. With
``--share affect=0.35`` a source has that share of a batch; what is left goes to the others as
before.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from research.expression.answers import set_answers
from research.expression.bank import SourceFaces, load_bank, natural_prior
from research.expression.batches import Batches, Mixture
from research.expression.fitting import FitSettings, fit
from research.expression.networks import build, load_weights
from research.expression.recipe import STUDENT_SHARES
from research.expression.tones import Tones
from research.expression.train import write_weights
from research.expression.views import Geometry
from torch import Tensor, nn

from mien.hub import WEIGHTS as NETWORK
from mien.hub import read_model_folder

WEIGHTS = Path(__file__).parent / "weights"
SHARES = {
    "ferplus": 0.57, "affect": 0.25, "cfee": 0.06, "contempt": 0.03, "moodme": 0.03,
    "portraits": 0.03, "photos": 0.03,
}  # fmt: skip
LABEL_WEIGHTS = {"ferplus": 0.4, "affect": 0.35, "cfee": 0.55, "contempt": 0.4, "moodme": 0.7}
#: Views that look more like the faces that are read.
MILD_GEOMETRY = Geometry(
    rotate=10, zoom=(0.92, 1.12), wide_zoom=(0.8, 1.25), wide=0.15, shift=0.05, stretch=0.04,
    cut=0.05, fill=0.1,
)  # fmt: skip
MILD_TONES = Tones(
    light=0.12, curve=0.12, retone=0.2, harsh=0.06, blur=0.08, low_resolution=0.08, noise=0.08,
    jpeg=0.08, erase=0.1,
)  # fmt: skip


def read_answers(path: Path, sources: dict[str, SourceFaces], own: float = 2.0) -> None:
    """Gives the faces the stored answers; each row belongs to a row of the original table.

    Args:
        path: Of ``answers.npz``.
        sources: Training faces by source.
        own: Weight of the answers of FER+'s own network on its faces; a teacher's is 1.

    Raises:
        ValueError: If the faces are not those that the teachers answered for.
    """
    stored = np.load(path)
    answers: dict[str, dict[str, torch.Tensor]] = {}
    for key in stored:
        teacher, _, name = key.partition("/")
        if name not in sources:
            continue
        if teacher == "rows":
            if not np.array_equal(stored[key], sources[name].rows.numpy()):
                raise ValueError(f"{path}: the rows of {name} are not those of the pack.")
        else:
            values = torch.from_numpy(stored[key].astype(np.float32)).clamp_min(0.25)
            answers.setdefault(teacher, {})[name] = values / values.sum(dim=1, keepdim=True)
    set_answers(sources, answers, {"bundled": {"ferplus": own, "*": 0.0}})


def with_shares(shares: dict[str, float], given: list[str]) -> dict[str, float]:
    """Returns shares of a batch with some set anew; the others divide the rest as before.

    Args:
        shares: Source -> share.
        given: ``"SOURCE=SHARE"`` each.

    Raises:
        ValueError: If a source is not among them or no share is left for the others.
    """
    fixed = {name: float(share) for name, share in (text.split("=") for text in given)}
    rest = {name: share for name, share in shares.items() if name not in fixed}
    left = 1 - sum(fixed.values())
    if not fixed.keys() <= shares.keys() or left <= 0:
        raise ValueError(f"--share: sources are {', '.join(shares)}; together below 1.")
    return fixed | {name: share * left / sum(rest.values()) for name, share in rest.items()}


def mixed_start(student: Path, share: float, natural: Tensor) -> nn.Module:
    """Returns ``share`` parts of the student and the rest of FER+'s own network, both priorless."""
    network, other = build("mienet_s"), build("mienet_s")
    load_weights(network, student)
    load_weights(other, read_model_folder("mienet_s.ferplus8").path / NETWORK)
    with torch.no_grad():
        other.head.bias -= natural  # type: ignore[operator, union-attr]
        theirs = other.state_dict()
        for key, value in network.state_dict().items():
            if value.is_floating_point():
                value.lerp_(theirs[key], 1 - share)
    return network


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=Path, default=Path("runs/faces"))
    parser.add_argument("--answers", type=Path, default=WEIGHTS / "answers.npz")
    parser.add_argument("--start", type=Path, default=WEIGHTS / "student.safetensors")
    parser.add_argument("--student-share", type=float, default=0.8)
    parser.add_argument("--out", type=Path, default=Path("runs/further"))
    parser.add_argument("--first-run", action="store_true")
    parser.add_argument("--mild", action="store_true")
    parser.add_argument("--share", action="append", default=[], metavar="SOURCE=SHARE")
    parser.add_argument("--seconds", type=float, default=4000)
    parser.add_argument("--steps", type=int, default=0, help="Instead of a time.")
    parser.add_argument("--lr", type=float, default=0.03)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--small-side", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every-s", type=float, default=240)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    bank = load_bank(args.faces, torch.device("cpu"), class_power=0.7)
    sources = bank["train"]
    read_answers(args.answers, sources, 1.0 if args.first_run else 2.0)
    shares, mixup = (STUDENT_SHARES, 0.4) if args.first_run else (SHARES, 0.2)
    mixture = Mixture(with_shares(shares, args.share), LABEL_WEIGHTS, {"affect": 0.08}, mixup=mixup)
    batches = Batches(
        sources, mixture, args.batch_size,
        geometry=MILD_GEOMETRY if args.mild else None, tones=MILD_TONES if args.mild else None,
    )  # fmt: skip
    share = 0.0 if args.first_run else args.student_share
    network = mixed_start(args.start, share, natural_prior(bank))
    settings = FitSettings(
        args.seconds, args.lr, warmup=0.02,
        checkpoint=args.out / "state.pt", every_s=args.every_s, bfloat16=True,
        small_side=args.small_side, steps=args.steps,
    )  # fmt: skip

    def tick(average: nn.Module, progress: float) -> None:
        write_weights(average, args.out / "student.safetensors", half=True)
        print(f"{progress:.0%} of the time", flush=True)

    average, report = fit(network, batches, 48, settings, tick)
    write_weights(average, args.out / "student.safetensors", half=True)
    (args.out / "report.json").write_text(json.dumps(vars(report)))
    print(f"{report.steps} steps, {report.faces} faces, losses {report.losses}")


if __name__ == "__main__":
    main()
