"""The half of ``tracking.py`` that runs in an environment with ``trackers`` and ``trackeval``."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import supervision
from trackers import ByteTrackTracker
from trackeval.metrics import CLEAR, HOTA, Identity

METRICS = {"HOTA": HOTA, "Identity": Identity, "CLEAR": CLEAR}


def by_frame(rows: list[list[float]], frames: int) -> list[np.ndarray]:
    """Rows of (frame, name, x1, y1, x2, y2) by frame, each (N, 5) without the frame."""
    table = np.array(rows, float).reshape(-1, 6)
    return [table[table[:, 0] == frame, 1:] for frame in range(frames)]


def byte_track(clip: dict[str, Any], threshold: float, fps: float) -> list[list[float]]:
    """ByteTrack with the thresholds of mien's detector: sure ones start tracks, others continue."""
    tracker = ByteTrackTracker(
        frame_rate=fps, lost_track_buffer=round(fps), track_activation_threshold=threshold,
        high_conf_det_threshold=threshold,
    )  # fmt: skip
    rows = []
    for frame, seen in enumerate(by_frame(clip["detections"], clip["frames"])):
        found = tracker.update(
            supervision.Detections(
                xyxy=seen[:, 1:], confidence=seen[:, 0], class_id=np.zeros(len(seen), int)
            )
        )
        if found.tracker_id is not None:
            pairs = zip(found.tracker_id, found.xyxy, strict=True)
            rows += [[frame, int(number), *box] for number, box in pairs if number >= 0]
    return rows


def similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """IoU of boxes (N, 4) and (M, 4)."""
    corner = np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.clip(np.minimum(a[:, None, 2:], b[None, :, 2:]) - corner, 0, None).prod(axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (a, b)]
    return shared / (areas[0][:, None] + areas[1][None] - shared)


def sequence(truth: list[list[float]], tracks: list[list[float]], frames: int) -> dict[str, Any]:
    """What trackeval's metrics take of one clip."""
    data: dict[str, Any] = {"num_timesteps": frames, "similarity_scores": []}
    both = {"gt": by_frame(truth, frames), "tracker": by_frame(tracks, frames)}
    for name, rows in both.items():
        names = {who: at for at, who in enumerate(sorted({row[0] for one in rows for row in one}))}
        ids = [np.array([names[row[0]] for row in one], int) for one in rows]
        data[f"{name}_ids"], data[f"num_{name}_ids"] = ids, len(names)
        data[f"num_{name}_dets"] = sum(map(len, ids))
    for a, b in zip(both["gt"], both["tracker"], strict=True):
        data["similarity_scores"].append(similarity(a[:, 1:], b[:, 1:]))
    return data


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as stream:  # noqa: PTH123
        given = json.load(stream)
    for clip in given["clips"]:
        clip["tracks"]["ByteTrack, every frame"] = byte_track(
            clip, given["threshold"], given["fps"]
        )
    quiet = {"PRINT_CONFIG": False}
    metrics = {name: made() if made is HOTA else made(quiet) for name, made in METRICS.items()}
    print("| clips | tracker | HOTA | AssA | IDF1 | switches | faces missed |")
    print("|---|---|---|---|---|---|---|")
    kinds = list(dict.fromkeys(clip["kind"] for clip in given["clips"]))
    for kind in [*kinds, "all"]:
        chosen = [clip for clip in given["clips"] if kind in {clip["kind"], "all"}]
        for name in chosen[0]["tracks"]:
            per_clip = {
                f"{clip['kind']} {clip['people']}": {
                    key: metric.eval_sequence(
                        sequence(clip["truth"], clip["tracks"][name], clip["frames"])
                    )
                    for key, metric in metrics.items()
                }
                for clip in chosen
            }
            joined = {
                key: metric.combine_sequences({clip: one[key] for clip, one in per_clip.items()})
                for key, metric in metrics.items()
            }
            hota, clear = joined["HOTA"], joined["CLEAR"]
            missed = clear["CLR_FN"] / (clear["CLR_FN"] + clear["CLR_TP"])
            cells = [
                f"{np.mean(hota['HOTA']):.3f}", f"{np.mean(hota['AssA']):.3f}",
                f"{joined['Identity']['IDF1']:.3f}", f"{int(clear['IDSW'])}",
                f"{100 * missed:.1f} %",
            ]  # fmt: skip
            print(f"| {kind} | {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
