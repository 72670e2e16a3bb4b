"""Runs a recipe: teachers, their answers, students.

``python -m research.expression.train -c research/expression/recipe.yaml``; started again it goes
on where it stopped. On a large GPU the recipe takes ten minutes; on two CPU cores give it hours
(``--seconds``).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from research.expression.answers import collect_answers, set_answers
from research.expression.bank import load_bank, natural_prior
from research.expression.batches import Batches, Mixture
from research.expression.fitting import FitSettings, fit
from research.expression.networks import SIDES, build, load_int8, load_weights
from research.expression.recipe import Phase, Recipe, load_recipe
from research.expression.scoring import score, summary, validation_sets
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

#: Teachers whose weights are kept next to their answers.
KEPT_TEACHERS = ("teacher_lite2",)


class Run:
    """The state of a run: faces, finished networks, the log.

    Args:
        recipe: The settings.
        device: Where to train.
    """

    def __init__(self, recipe: Recipe, device: torch.device) -> None:
        self.recipe, self.device = recipe, device
        self.begin = time.monotonic()
        self.out = Path(recipe.out)
        self.out.mkdir(parents=True, exist_ok=True)
        self.log: dict[str, Any] = {"device": str(device), "phases": {}, "evaluations": []}
        torch.manual_seed(recipe.seed)
        limit = recipe.max_faces or None
        self.bank = load_bank(
            Path(recipe.faces), device, class_power=recipe.class_power, max_faces=limit
        )
        self.prior = natural_prior(self.bank)
        self.finished: dict[str, tuple[nn.Module, int]] = {}
        sides = tuple(sorted({SIDES[phase.network] for phase in recipe.phases.values()} | {48}))
        self.sets = validation_sets(self.bank, sides, max_faces=limit)
        self.log["counts"] = {
            split: {name: len(faces) for name, faces in part.items()}
            for split, part in self.bank.items()
        }
        self.log["natural_prior"] = self.prior.exp().tolist()
        self.log["source_priors"] = {
            name: faces.log_prior.exp().tolist() for name, faces in self.bank["train"].items()
        }
        if device.type == "cuda":
            self.log["gpu"] = torch.cuda.get_device_name()
        self.say(f"faces ready: {self.log['counts']['train']}")

    def say(self, text: str) -> None:
        """Prints one line with the time since the start."""
        print(f"[{time.monotonic() - self.begin:6.1f} s] {text}", flush=True)

    def left(self) -> float:
        """Returns the seconds that remain."""
        return self.recipe.seconds - (time.monotonic() - self.begin)

    def write_log(self) -> None:
        """Writes ``log.json`` anew."""
        part = self.out / "log.json.part"
        part.write_text(json.dumps(self.log))
        part.replace(self.out / "log.json")

    def evaluate(self, name: str, network: nn.Module, side: int, progress: float) -> None:
        """Scores a network and notes it."""
        result = score(network, self.sets, side, self.prior)
        elapsed = round(time.monotonic() - self.begin, 1)
        self.log["evaluations"].append(
            {"phase": name, "seconds": elapsed, "progress": round(progress, 3), **result}
        )
        self.write_log()
        self.say(f"{name} {100 * progress:.0f} %: {summary(result)}")


def _start(run: Run, phase: Phase) -> nn.Module:
    network = build(phase.network)
    if phase.start == "bundled":
        load_weights(network, Path(run.recipe.bundled))
        with torch.no_grad():
            # From the posterior under FER+'s shares to one under none.
            network.head.bias -= run.prior.cpu()  # type: ignore[operator, union-attr]
    elif phase.start == "imagenet":
        load_int8(network, Path(run.recipe.imagenet))
    elif phase.start != "random":
        network.load_state_dict(run.finished[phase.start][0].state_dict())
    return network.to(run.device, memory_format=torch.channels_last)


def write_weights(network: nn.Module, path: Path, *, half: bool = False) -> None:
    """Writes a network as safetensors, at once; ``half``: float16."""
    weights = {
        key: (value.half() if half and value.is_floating_point() else value).cpu().contiguous()
        for key, value in network.state_dict().items()
    }
    part = path.with_suffix(".part")
    save_file(weights, part)
    part.replace(path)


def run_phase(run: Run, name: str, phase: Phase, seconds: float) -> None:
    """Trains one network and puts its average among the finished ones."""
    recipe, side = run.recipe, SIDES[phase.network]
    target = run.out / (phase.file or f"{name}.safetensors")
    keep = recipe.checkpoints or bool(phase.file)
    done = f"{name}.done"
    if recipe.checkpoints and (run.out / done).is_file():
        network = build(phase.network)
        load_weights(network, target)
        run.finished[name] = (network.to(run.device).eval(), side)
        return
    student = phase.role == "student"
    mixture = Mixture(
        recipe.student_shares if student else recipe.teacher_shares,
        recipe.label_weights, recipe.smoothing, recipe.mixup,
    )  # fmt: skip
    batches = Batches(run.bank["train"], mixture, phase.batch_size)
    if not student:
        batches.targets = {
            key: run.bank["train"][key].targets * (1 - recipe.smoothing.get(key, 0.0))
            + recipe.smoothing.get(key, 0.0) / 8
            for key in batches.counts
        }
    checkpoint = run.out / f"{name}.state.pt" if recipe.checkpoints else None
    settings = FitSettings(
        seconds, phase.lr, phase.optimizer, phase.weight_decay, checkpoint=checkpoint,
        every_s=recipe.every_s,
    )  # fmt: skip

    def tick(average: nn.Module, progress: float) -> None:
        run.evaluate(name, average, side, progress)
        if keep:
            write_weights(average, target)

    network, report = fit(_start(run, phase), batches, side, settings, tick)
    run.finished[name] = (network, side)
    memory = torch.cuda.max_memory_allocated() / 2**30 if run.device.type == "cuda" else 0.0
    run.log["phases"][name] = {
        "steps": report.steps, "faces": report.faces, "seconds": round(report.seconds, 1),
        "faces_per_s": round(report.rate), "losses": report.losses, "gpu_gib": round(memory, 2),
    }  # fmt: skip
    run.say(f"{name}: {report.steps} steps, {report.rate:.0f} faces/s, {memory:.1f} GiB at most")
    if keep:
        write_weights(network, target)
        if recipe.checkpoints:
            (run.out / done).touch()
    run.evaluate(name, network, side, 1.0)


def gather_answers(run: Run, teachers: list[str], seconds: float) -> None:
    """Lets the finished teachers, and the bundled network, answer for all training faces."""
    sources = run.bank["train"]
    path = run.out / "answers.safetensors"
    if run.recipe.checkpoints and path.is_file():
        answers: dict[str, dict[str, Tensor]] = {}
        for key, value in load_file(path).items():
            teacher, _, name = key.partition("/")
            if name in sources and teacher != "rows" and not teacher.startswith("weights."):
                answers.setdefault(teacher, {})[name] = value.float().to(run.device)
    else:
        asked = {name: run.finished[name] for name in teachers}
        bundled = build("mienet_s")
        load_weights(bundled, Path(run.recipe.bundled))
        with torch.no_grad():
            bundled.head.bias -= run.prior.cpu()  # type: ignore[operator, union-attr]
        bundled.to(run.device, memory_format=torch.channels_last)
        answers = collect_answers({**asked, "bundled": (bundled, 48)}, sources, seconds=seconds)
        flat = {
            f"{teacher}/{name}": value.half().cpu()
            for teacher, by_source in answers.items()
            for name, value in by_source.items()
        }
        flat |= {f"rows/{name}": faces.rows.int() for name, faces in sources.items()}
        for name in set(teachers) & set(KEPT_TEACHERS):
            weights = run.finished[name][0].state_dict()
            flat |= {
                f"weights.{name}/{key}": (v.half() if v.is_floating_point() else v)
                .cpu()
                .contiguous()
                for key, v in weights.items()
            }
        save_file(flat, path)
    # The bundled network knows FER+'s faces well and no others.
    set_answers(sources, answers, {"bundled": {"ferplus": 1.0, "*": 0.0}})
    agreement = {
        name: round(float((f.answers.argmax(1) == f.class_ids)[f.class_ids >= 0].float().mean()), 4)
        for name, f in sources.items()
        if f.answers is not None and bool((f.class_ids >= 0).any())
    }
    run.log["answers_agree"] = agreement
    run.say(f"answers agree with the labels of training faces: {agreement}")


def train(recipe: Recipe, device: torch.device) -> None:
    """Runs all phases of a recipe; students come after the answers."""
    torch.backends.cuda.matmul.allow_tf32 = True
    run = Run(recipe, device)
    shares = {name: phase.share for name, phase in recipe.phases.items()} | {
        "answers": recipe.answers_share
    }
    teachers = [name for name, phase in recipe.phases.items() if phase.role == "teacher"]
    order = [*teachers, "answers", *(name for name in recipe.phases if name not in teachers)]
    reserve = min(10.0, 0.04 * recipe.seconds)
    for position, name in enumerate(order):
        if recipe.checkpoints:
            seconds = recipe.seconds * shares[name] / sum(shares.values())
        else:
            rest = sum(shares[later] for later in order[position:])
            seconds = max((run.left() - reserve) * shares[name] / rest, 0.5)
        run.say(f"{name}: {seconds:.0f} s")
        if name == "answers":
            gather_answers(run, teachers, seconds)
        else:
            run_phase(run, name, recipe.phases[name], seconds)
    run.write_log()
    run.say("done")


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-c", "--config", type=Path, required=True)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--out")
    parser.add_argument("--faces")
    parser.add_argument("--max-faces", type=int)
    parser.add_argument("--every-s", type=float)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = vars(parser.parse_args())
    config, device = args.pop("config"), torch.device(args.pop("device"))
    changes = {key: value for key, value in args.items() if value is not None}
    train(load_recipe(config, **changes), device)


if __name__ == "__main__":
    main()
