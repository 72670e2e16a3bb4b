"""Trains a student on, from its written weights and the teachers' stored answers, on CPUs.

``python -m research.expression.further --faces runs/faces --out runs/further --seconds 4000``
needs neither teachers nor a GPU. It starts from a mean of the student's weights and those of the
network that FER+ alone taught, which reads better than either (README.md). FER+ has a larger share
of a batch than in the first run, since it is what fell behind; the answers of its own network count
double on its faces. The first part sees smaller faces, which takes less time. The rate falls to
zero over the given time, and the running mean of the weights is written every few minutes.
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
from research.expression.train import write_weights
from torch import Tensor, nn

from mien.hub import WEIGHTS as NETWORK
from mien.hub import read_model_folder

WEIGHTS = Path(__file__).parent / "weights"
SHARES = {
    "ferplus": 0.57, "affect": 0.25, "cfee": 0.06, "contempt": 0.03, "moodme": 0.03,
    "portraits": 0.03, "photos": 0.03,
}  # fmt: skip
LABEL_WEIGHTS = {"ferplus": 0.4, "affect": 0.35, "cfee": 0.55, "contempt": 0.4, "moodme": 0.7}


def read_answers(path: Path, sources: dict[str, SourceFaces]) -> None:
    """Gives the faces the stored answers; each row belongs to a row of the original table.

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
    set_answers(sources, answers, {"bundled": {"ferplus": 2.0, "*": 0.0}})


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
    parser.add_argument("--seconds", type=float, default=4000)
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
    read_answers(args.answers, sources)
    batches = Batches(
        sources, Mixture(SHARES, LABEL_WEIGHTS, {"affect": 0.08}, mixup=0.2), args.batch_size
    )
    network = mixed_start(args.start, args.student_share, natural_prior(bank))
    settings = FitSettings(
        args.seconds, args.lr, warmup=0.02,
        checkpoint=args.out / "state.pt", every_s=args.every_s, bfloat16=True,
        small_side=args.small_side,
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
