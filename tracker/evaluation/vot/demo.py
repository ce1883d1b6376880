"""``tracker demo``: sequences, tracking, figures, report and a video, on a small synthetic set."""

from pathlib import Path

from fusion.base.errors import UserError
from fusion.base.tables import format_table
from fusion.images.video import VideoWriter
from tracker.data.drawing import draw_frame
from tracker.data.sequences import load_sequence
from tracker.evaluation.vot import files as vot_files
from tracker.evaluation.vot.report import Entry, read_entries, write_report
from tracker.evaluation.vot.workspace import copy_template, make_synthetic
from tracker.online.runtime import check_runtime

# Beginnings of the names of entries that are no networks.
BASELINES = ("NCC", "CSRT")


def run_demo(
    output: str | Path,
    *,
    weights: Path | None = None,
    workers: int = 2,
    device: str = "auto",
    runtime: str = "eager",
    precision: str = "float32",
    sequences: int = 6,
    length: int = 100,
) -> None:
    """Tell the whole story, and print what to open.

    A second call goes on with the sequences and results of the first.

    Args:
        output: folder for the workspace, the report and the video.
        weights: folder of weights files whose networks run too.
        workers: processes of the evaluation.
        device: auto, cpu, cuda or cuda:N.
        runtime, precision: of the networks' search, see `tracker.online.runtime`.
        sequences: how many are made.
        length: frames of each.

    Raises:
        UserError: a runtime that cannot be used, a place that cannot be written, or trackers that
            failed.
    """
    from tracker.evaluation.vot.run import choose_entries, evaluate

    check_runtime(runtime, precision)
    output = Path(output)
    workspace = output / "workspace"
    if not (workspace / "sequences").exists():
        print(f"making {sequences} synthetic sequences of {length} frames ...", flush=True)
        copy_template(workspace)
        make_synthetic(workspace, sequences, length)

    environment = {
        "RGBT_DEVICE": device,
        "RGBT_RUNTIME": runtime,
        "RGBT_PRECISION": precision,
    }
    if weights is not None:
        environment["RGBT_WEIGHTS"] = str(weights.resolve())
    ready, _ = choose_entries(workspace, environment=environment)
    trackers = sorted(ready, key=lambda name: name.startswith(BASELINES))
    print(f"running {', '.join(trackers)} through the VOT toolkit ...", flush=True)
    outcome = evaluate(workspace, trackers, workers=workers, environment=environment)
    if not outcome.complete:
        faults = outcome.faults()
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise UserError(f"{workspace}: {faults[0]}{more}")

    plan = vot_files.read_workspace(workspace)
    entries, _ = read_entries(plan, trackers)
    rows = [[entry.label, *entry.scores.figures().values(), entry.speed] for entry in entries]
    print()
    print(format_table(["tracker", "EAO", "A", "R", "frames/s"], rows))
    print(f"EAO over {plan.low} to {plan.high} frames; not comparable with VOT2020-RGBT\n")
    report, video = output / "report.html", output / "tracking.mp4"
    write_report(workspace, report, trackers)
    shown = next(entry for entry in entries if entry.reference == trackers[0])
    write_video(plan, shown, video)
    print(f"open {report} in a browser, and {video} ({shown.label}; orange is its box, cyan the")
    print(f"true one). Everything else is in {workspace}.")


def write_video(workspace: vot_files.Workspace, entry: Entry, path: Path) -> None:
    """The tracker's first forward run in every sequence that has one, one after the other."""
    with VideoWriter(path, 25) as video:
        for sequence in workspace.sequences:
            run = sequence.runs[0]  # the forward ones come first
            if run.is_backward:
                continue
            pictures = load_sequence(sequence.folder, "vot")
            boxes = entry.runs[sequence.name][0].boxes.copy()
            truth = sequence.groundtruth.boxes[run.frames]
            boxes[0] = truth[0]  # given, not found
            for frame, box, true in zip(run.frames.tolist(), boxes, truth, strict=True):
                annotation = {"rgb": true, "ir": true}
                size = sequence.size
                video.write(draw_frame(pictures.frame(frame), box, truth=annotation, size=size))
