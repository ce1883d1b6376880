"""``tracker demo``: sequences, tracking, figures, report and a video, on a small synthetic set."""

from pathlib import Path

from fusion.base.errors import UserError
from fusion.base.tables import format_table
from fusion.images.video import VideoWriter
from tracker.data.drawing import draw_frame
from tracker.evaluation.trackers import TRACKERS
from tracker.evaluation.vot.creation import take_synthetic
from tracker.evaluation.vot.report import ReportedTracker, read_reported, write_report
from tracker.evaluation.vot.run import choose_trackers, run_trackers
from tracker.evaluation.vot.template import copy_template
from tracker.evaluation.vot.workspace import Workspace, read_workspace
from tracker.model.pretrained import INCLUDED_TRACKER
from tracker.online.runtime import check_runtime


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
    """Run the whole demonstration, and print which files to open.

    A second call resumes with the sequences and results of the first.

    Args:
        output: folder for the workspace, the report and the video.
        weights: folder of weights files of further networks to run.
        workers: number of processes for the evaluation.
        device: auto, cpu, cuda or cuda:N.
        runtime, precision: runtime of the networks' search pass, see `tracker.online.runtime`.
        sequences: number of sequences.
        length: frames per sequence.

    Raises:
        UserError: a runtime cannot be used, an output cannot be written, or trackers failed.
    """
    check_runtime(runtime, precision)
    output = Path(output)
    folder = output / "workspace"
    if not (folder / "sequences").exists():
        print(f"making {sequences} synthetic sequences of {length} frames ...", flush=True)
        copy_template(folder)
        take_synthetic(folder, sequences, length)
    workspace = read_workspace(folder)

    environment = {
        "RGBT_DEVICE": device,
        "RGBT_RUNTIME": runtime,
        "RGBT_PRECISION": precision,
    }
    if weights is not None:
        environment["RGBT_WEIGHTS"] = str(weights.resolve())
    ready, _ = choose_trackers(workspace, environment=environment)
    trackers = sorted(ready, key=lambda name: name.lower() in TRACKERS)
    print(f"running {', '.join(trackers)} through the VOT toolkit ...", flush=True)
    outcome = run_trackers(workspace, trackers, workers=workers, environment=environment)
    if not outcome.complete:
        faults = outcome.faults()
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise UserError(f"{folder}: {faults[0]}{more}")

    rows, _ = read_reported(workspace, trackers)
    table = [[row.title, *row.scores.figures().values(), row.speed] for row in rows]
    print()
    print(format_table(["tracker", "EAO", "A", "R", "frames/s"], table))
    experiment = workspace.experiment
    lengths = f"{experiment.low} to {experiment.high} frames"
    print(f"EAO over {lengths}; not comparable with VOT2020-RGBT\n")
    report, video = output / "report.html", output / "tracking.mp4"
    write_report(workspace, report, trackers)
    shown = next(row for row in rows if row.reference == INCLUDED_TRACKER)
    write_video(workspace, shown, video)
    print(f"open {report} in a browser, and {video} ({shown.title}; orange is its box, cyan the")
    print(f"true one). Everything else is in {folder}.")


def write_video(workspace: Workspace, tracker: ReportedTracker, path: Path) -> None:
    """Write the tracker's first forward run of every sequence to a video, one after the other."""
    with VideoWriter(path, 25) as video:
        for sequence in workspace.sequences:
            run = sequence.runs[0]  # the forward ones come first
            if run.is_backward:
                continue
            boxes = tracker.runs[sequence.name][0].boxes.copy()
            truth = sequence.groundtruth.boxes[run.frames]
            boxes[0] = truth[0]  # the given box
            for frame, box, true in zip(run.frames.tolist(), boxes, truth, strict=True):
                annotation = {"rgb": true, "ir": true}
                size = sequence.size
                video.write(
                    draw_frame(sequence.pictures.frame(frame), box, truth=annotation, size=size)
                )
