"""mien's default and fer on the same crops of every source of labelled faces, one thread each.

Usage: ``python benchmarks/peers/by_source.py --data ../shared/data -o OUT.json``, from the
repository's root. Crops are those that ``research.expression`` scores: 48x48 gray, framed as mien
frames faces. Contempt, a word that fer lacks, is left out. The three classes that notebooks report
(anger, happiness, sadness) are scored with the answer limited to them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from environments import run
from run import ROOT, make_peers

from mien.atomic import write_text
from mien.benchmarking.machine import describe_machine
from mien.benchmarking.timing import Spread
from mien.hub import read_model_folder
from mien.labels import FER7, FERPLUS8
from mien.metrics import wilson_interval

sys.path.insert(0, str(ROOT))
from research.expression.bundle import SOURCES, crops_of
from research.expression.evaluate import read_validation

THREE = ("anger", "happiness", "sadness")
#: Crops of one turn of the speed, each in a fresh process.
CROPS = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--work", type=Path, default=ROOT / "out" / "peers")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    work = given.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    if hasattr(os, "sched_setaffinity"):  # for the processes that are started from here
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    peers = make_peers(work, ["mien", "fer"])
    preprocessing = read_model_folder().config.preprocessing
    parts, tables, file = read_validation(given.data), {}, work / "faces.npy"
    for name in SOURCES:
        labels = np.array(FERPLUS8.labels)[parts[name].class_ids]
        kept = np.isin(labels, FER7.labels)
        np.save(file, crops_of(parts[name], preprocessing)[kept][..., 0])
        said = {peer.name: ask(peer.command, file) for peer in peers}
        tables[name] = {key: compare(answer, labels[kept]) for key, answer in said.items()}
        if name in {"ferplus", "affect"}:
            three = {key: compare(answer, labels[kept], THREE) for key, answer in said.items()}
            tables[f"{name}, three classes"] = three
        print(name, json.dumps(tables[name]), flush=True)
    np.save(file, crops_of(parts["ferplus"], preprocessing)[:CROPS][..., 0])
    turns: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for _ in range(given.turns):
        for peer in peers:
            turns[peer.name].append(ask(peer.command, file)["crops_per_second"])
    pairs = zip(turns["mien"], turns["fer"], strict=True)
    value = {
        "format": 1,
        "kind": "peers by source",
        "machine": describe_machine(),
        "versions": {peer.name: peer.facts["versions"] for peer in peers},
        "sources": tables,
        "crops_per_second": {key: Spread.of(rates).to_dict() for key, rates in turns.items()},
        "mien_over_fer": Spread.of(mien / fer for mien, fer in pairs).to_dict(),
    }
    write_text(given.output, json.dumps(value, indent=2) + "\n")
    print(json.dumps({key: value[key] for key in ("crops_per_second", "mien_over_fer")}))


def ask(command: list[str], file: Path) -> dict[str, Any]:
    """Returns a tool's answer on faces: ``labels``, ``scores`` (N, K), ``crops_per_second``."""
    answer: dict[str, Any] = json.loads(run([*command, "scores", str(file)]).splitlines()[-1])
    return answer


def compare(
    answer: dict[str, Any], truth: np.ndarray[Any, Any], among: tuple[str, ...] = FER7.labels
) -> dict[str, Any]:
    """Scores answers on the faces of some labels, the answer limited to these.

    Args:
        answer: ``labels`` (K) and ``scores`` (N, K).
        truth: The labels (N,).
        among: The labels that count.

    >>> said = {"labels": ["fear", "anger"], "scores": [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]]}
    >>> result = compare(said, np.array(["fear", "anger", "anger"]), ("fear", "anger"))
    >>> round(result["accuracy"], 3), result["balanced_accuracy"]
    (0.667, 0.75)
    """
    columns = [answer["labels"].index(label) for label in among]
    kept = np.isin(truth, among)
    best = np.array(answer["scores"])[kept][:, columns].argmax(axis=1)
    right, n = np.array(among)[best] == truth[kept], int(kept.sum())
    there = [label for label in among if (truth == label).any()]
    recall = {label: float(right[truth[kept] == label].mean()) for label in there}
    return {
        "faces": n,
        "accuracy": float(right.mean()),
        "accuracy_ci": list(wilson_interval(int(right.sum()), n)),
        "balanced_accuracy": float(np.mean(list(recall.values()))),
        "recall": {label: round(value, 4) for label, value in recall.items()},
    }


if __name__ == "__main__":
    main()
