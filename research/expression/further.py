"""Trains a student on, from its written weights and the teachers' stored answers, on CPUs.

``python -m research.expression.further --faces runs/faces --out runs/further --seconds 4000``
needs neither teachers nor a GPU. FER+ has a larger share of a batch than in the first run, since
it is what fell behind; the bundled network's answers count double on its faces. The rate falls to
zero over the given time, and the running mean of the weights is written every few minutes.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from research.expression.answers import set_answers
from research.expression.bank import SourceFaces, load_bank
from research.expression.batches import Batches, Mixture
from research.expression.fitting import FitSettings, fit
from research.expression.networks import build, load_weights
from research.expression.train import write_weights
from torch import nn

WEIGHTS = Path(__file__).parent / "weights"
SHARES = {
    "ferplus": 0.62, "affect": 0.22, "cfee": 0.05, "contempt": 0.03, "moodme": 0.02,
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


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=Path, default=Path("runs/faces"))
    parser.add_argument("--answers", type=Path, default=WEIGHTS / "answers.npz")
    parser.add_argument("--start", type=Path, default=WEIGHTS / "student.safetensors")
    parser.add_argument("--out", type=Path, default=Path("runs/further"))
    parser.add_argument("--seconds", type=float, default=4000)
    parser.add_argument("--lr", type=float, default=0.03)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--every-s", type=float, default=240)
    args = parser.parse_args()
    begin = time.monotonic()
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    args.out.mkdir(parents=True, exist_ok=True)
    sources = load_bank(args.faces, torch.device("cpu"), class_power=0.7)["train"]
    read_answers(args.answers, sources)
    batches = Batches(
        sources, Mixture(SHARES, LABEL_WEIGHTS, {"affect": 0.08}, mixup=0.2), args.batch_size
    )
    network = build("mienet_s")
    load_weights(network, args.start)
    settings = FitSettings(
        args.seconds - (time.monotonic() - begin), args.lr, warmup=0.02,
        checkpoint=args.out / "state.pt", every_s=args.every_s, bfloat16=True,
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
