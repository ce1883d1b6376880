"""The whole path through the real toolkit, on sequences with known boxes."""

import http.server
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from fusion.base.commandline import SEARCHED
from fusion.base.errors import UserError
from fusion.images.reading import read_image
from tracker.commands.cli import main
from tracker.evaluation.baselines.correlation import CorrelationTracker
from tracker.evaluation.trackers import make_tracker
from tracker.evaluation.vot import pool, run, tuning
from tracker.evaluation.vot.figures import score_trackers
from tracker.evaluation.vot.toolkit import download, official_url, toolkit_scores
from tracker.evaluation.vot.trajectories import read_trajectory
from tracker.evaluation.vot.tuning import run_tracker
from tracker.evaluation.vot.workspace import read_workspace
from tracker.model.pretrained import INCLUDED_WEIGHTS
from tracker.online.rgbt_tracker import RGBTTracker

RUNS = 4  # two sequences, each from its first and from its last frame


def scores(workspace, tracker):
    ((scored,), _) = score_trackers(read_workspace(workspace), [tracker])
    return scored.scores


def run_all(workspace, trackers, experiment=None, **options):
    options = {"progress": False, **options}
    return run.run_trackers(read_workspace(workspace, experiment), trackers, **options)


def trajectories(workspace, tracker):
    """Bytes of all results, without the times."""
    folder = workspace / "results" / tracker
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.bin")}


class TestPath:
    def test_killed_and_resumed_as_uninterrupted(self, make_workspace, capsys):
        """Two workers, killed in the middle, give what one worker gives in one go."""
        whole, killed = make_workspace("whole"), make_workspace("killed")
        assert main(["vot", "evaluate", "probe-well", "--workspace", str(whole)]) == 0

        command = [sys.executable, "-m", "tracker", "vot", "evaluate", "probe-slow"]
        process = subprocess.Popen([*command, "--workers", "2", "--workspace", str(killed)])
        results = killed / "results" / "probe-slow"
        deadline = time.monotonic() + 60
        while not list(results.rglob("*.bin")):
            assert time.monotonic() < deadline, "no run was finished in a minute"
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert 1 <= len(trajectories(killed, "probe-slow")) < RUNS
        for pid in (killed / "starts.txt").read_text().split():
            _wait_for_end(int(pid))
        # What a kill leaves in the worst moment: the beginning of a file.
        victim = next(results.rglob("*.bin"))
        victim.write_bytes(victim.read_bytes()[:100])
        before = trajectories(killed, "probe-slow")

        arguments = ["vot", "evaluate", "probe-slow", "--workers", "2", "--workspace", str(killed)]
        assert main(arguments) == 0
        captured = capsys.readouterr()
        assert f"{RUNS} of {RUNS} runs, {RUNS - len(before) + 1} of them new" in captured.out
        assert str(victim) in captured.err
        assert trajectories(killed, "probe-slow") == trajectories(whole, "probe-well")

        ours = scores(killed, "probe-slow")
        assert ours.figures() == scores(whole, "probe-well").figures()
        assert ours.R == 1 and ours.A > 0.9
        theirs = toolkit_scores(read_workspace(killed), ["probe-slow"])["probe-slow"]
        assert ours.figures() == pytest.approx(theirs.figures(), abs=1e-9)
        assert np.abs(ours.curve - theirs.curve).max() < 1e-9
        for sequence in ours.sequences:
            figures = pytest.approx(theirs.sequences[sequence.name])
            assert figures == (sequence.A, sequence.R)

        assert main(["vot", "analyze", "--workspace", str(killed), "--json", "-"]) == 0
        assert json.loads(capsys.readouterr().out)["probe-slow"]["EAO"] == ours.EAO
        assert main(["vot", "report", "--workspace", str(killed)]) == 0
        assert (killed / "reports" / "report.html").is_file()

    def test_started_once_a_sequence(self, workspace):
        assert run_all(workspace, ["probe-well"]).complete
        assert len((workspace / "starts.txt").read_text().split()) == 2

    def test_plain_toolkit_commands(self, workspace):
        program = Path(sys.executable).with_name("vot")
        for arguments in (
            ["evaluate", "NCC"],
            ["analysis", "NCC", "--name", "analysis"],
            ["report", "NCC", "--name", "report"],
        ):
            subprocess.run([program, *arguments], cwd=workspace, check=True, capture_output=True)
        found = json.loads((workspace / "analysis" / "analysis.json").read_text())
        accuracy, eao, _ = found["results"]["baseline"]["results"]
        ours = scores(workspace, "NCC").figures()
        assert accuracy[0][:2] == pytest.approx([ours["A"], ours["R"]], abs=1e-9)
        assert eao[0][0] == pytest.approx(ours["EAO"], abs=1e-9)
        assert (workspace / "reports" / "report").exists()

    def test_force_repeats(self, workspace):
        first = run_all(workspace, ["NCC"])
        again = run_all(workspace, ["NCC"])
        forced = run_all(workspace, ["NCC"], force=True)
        assert [outcome.new["NCC"] for outcome in (first, again, forced)] == [RUNS, 0, RUNS]


def _wait_for_end(pid):
    """Workers and trackers must not outlive a killed evaluation."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return  # ended; nobody has asked for its exit code in a container without init
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.05)
    pytest.fail(f"tracker process {pid} outlived its evaluation")


class TestFailures:
    @pytest.mark.parametrize(
        ("entry", "reason"),
        [
            ("probe-crash", "crashed: RuntimeError: lost my mind"),
            ("probe-exit-at-start", "crashed: no such camera"),
            ("probe-hang", "did not reply in 1 seconds"),
            ("probe-kill-parent", "the evaluating process ended (exit code -9)"),
        ],
    )
    def test_bad_trackers_do_not_stop_others(self, workspace, capsys, entry, reason):
        arguments = ["vot", "evaluate", entry, "NCC", "--workers", "2"]
        assert main([*arguments, "--workspace", str(workspace)]) == 2
        captured = capsys.readouterr()
        assert f"NCC: {RUNS} of {RUNS} runs" in captured.out
        assert f"{entry}: 0 of {RUNS} runs" in captured.out
        for sequence in ("car", "dog"):
            (line,) = [
                line for line in captured.err.splitlines() if f"{entry} on {sequence}" in line
            ]
            assert reason in line
        log = line.rsplit("(log: ", 1)[1].rstrip(")") if "(log" in line else None
        if entry == "probe-crash":
            assert "Traceback" in Path(log).read_text()

    def test_tracker_that_never_starts(self, workspace):
        outcome = run_all(
            workspace,
            ["probe-hang-at-start"],
            workers=2,
            start_limit=2,
        )
        assert not outcome.complete
        assert len(outcome.failures) == 2
        assert "2 seconds" in outcome.failures[0].reason
        for pid in (workspace / "starts.txt").read_text().split():
            _wait_for_end(int(pid))

    def test_a_tracker_of_ones_own(self, workspace, tmp_path, monkeypatch, capsys):
        """From the current folder, by a name that is no entry yet; a changed file runs again."""
        (tmp_path / "own_still.py").write_text(
            "class Still:\n"
            "    def init(self, rgb, ir, box): self.box = box\n"
            "    def track(self, rgb, ir): return self.box, 1.0\n"
        )
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.path", list(sys.path))
        monkeypatch.setenv(SEARCHED, "")
        command = ["vot", "evaluate", "--tracker", "own_still:Still", "--workspace", str(workspace)]
        assert main(command) == 0
        assert "Still: " in capsys.readouterr().out
        assert (workspace / "results" / "Still").is_dir()
        assert main(command) == 0 and ", 0 of them new" in capsys.readouterr().out
        registry = (workspace / "trackers.ini").read_text()
        assert registry.count("env_rgbt_tracker = own_still:Still") == 1
        with open("own_still.py", "a") as file:
            file.write("# changed\n")
        assert main(command) == 0 and ", 0 of them new" not in capsys.readouterr().out

    def test_unknown_tracker(self, workspace, capsys):
        assert main(["vot", "evaluate", "SOTA", "--workspace", str(workspace)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "SOTA" in error and "DFAT_LLRR" in error

    def test_entry_without_weights(self, workspace, capsys):
        assert main(["vot", "evaluate", "DFAT", "--workspace", str(workspace)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "dfat.safetensors" in error and str(workspace / "weights") in error

    def test_two_evaluations_at_once(self, workspace):
        fcntl = pytest.importorskip("fcntl")
        (workspace / "results").mkdir()
        with (workspace / "results" / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with pytest.raises(UserError, match=re.escape(f"{workspace}: ")):
                run_all(workspace, ["NCC"])

    def test_real_time_needs_one_worker(self, workspace):
        stack = (workspace / "stack.yaml").read_text()
        realtime = "type: multistart\n    realtime:\n      grace: 3\n"
        (workspace / "stack.yaml").write_text(stack.replace("type: multistart\n", realtime, 1))
        with pytest.raises(UserError, match="--workers 2: "):
            run_all(workspace, ["NCC"], workers=2)
        assert run_all(workspace, ["NCC"]).complete

    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda w: (w / "config.yaml").unlink(), "config.yaml"),
            (lambda w: shutil.rmtree(w / "sequences"), "list.txt"),
            (lambda w: (w / "sequences" / "car" / "anchor.value").unlink(), "anchor.value"),
            (lambda w: shutil.rmtree(w / "sequences" / "car" / "ir"), "ir"),
            (lambda w: shutil.rmtree(w / "sequences" / "car"), "car"),
            (
                lambda w: (w / "sequences" / "car" / "ir" / "00000028.png").unlink(),
                "frame 28 of 28",
            ),
            (lambda w: (w / "trackers.ini").write_text("no section"), "trackers.ini"),
        ],
    )
    def test_broken_workspaces_give_a_line(self, workspace, capsys, damage, message):
        damage(workspace)
        assert main(["vot", "evaluate", "NCC", "--workspace", str(workspace)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1, error
        assert message in error and str(workspace) in error

    def test_a_workspace_without_entries(self, workspace, capsys):
        (workspace / "trackers.ini").write_text("")
        assert main(["vot", "evaluate", "--workspace", str(workspace)]) == 2
        error = capsys.readouterr().err
        assert str(workspace / "trackers.ini") in error and error.count("\n") == 1

    def test_a_worker_that_dies_while_its_tracker_starts(self):
        """It has failed once, and not again when the limit of the start passes."""
        worker = object.__new__(pool._Worker)
        worker.task, worker.starting_since = ("probe", "dog"), time.monotonic()
        assert str(worker.failure("died")) == "probe on dog: died"
        assert worker.task is worker.starting_since is None

    @pytest.fixture
    def weights(self, workspace, tmp_path):
        """A file that stands for an entry's weights; one sequence, so that two runs are all."""
        (workspace / "sequences" / "list.txt").write_text("dog\n")
        path = tmp_path / "weights.safetensors"
        path.write_text("first")
        return path

    def run_network(self, workspace, weights, experiment=None, **environment):
        """Runs of a probe that were made, as if it were a network with these weights."""
        network = {"RGBT_TRACKER": "small", "RGBT_WEIGHTS": str(weights)}
        environment = network | environment
        outcome = run_all(workspace, ["probe-well"], experiment, environment=environment)
        assert outcome.complete, outcome.faults()
        return outcome.new["probe-well"]

    def test_weights_are_noted_by_experiment(self, workspace, weights):
        """Results of one experiment are outdated also where the other's were run anew already."""
        stack = workspace / "stack.yaml"
        stack.write_text(stack.read_text() + "  again: {type: multistart}\n")

        def new_runs():
            names = ("baseline", "again")
            return [self.run_network(workspace, weights, name) for name in names]

        assert new_runs() == [2, 2]
        weights.write_text("second")
        assert new_runs() == [2, 2] and new_runs() == [0, 0]

    def test_results_of_another_precision_are_not_reused(self, workspace, weights):
        """Which settings count is in test_entries.py."""
        assert self.run_network(workspace, weights) == 2
        assert self.run_network(workspace, weights, RGBT_PRECISION="bfloat16") == 2
        assert self.run_network(workspace, weights, RGBT_PRECISION="bfloat16") == 0

    def test_missing_results_are_told(self, workspace, capsys):
        assert main(["vot", "evaluate", "NCC", "--workspace", str(workspace)]) == 0
        (workspace / "results/NCC/baseline/car/car_00000027.bin").unlink()
        with pytest.raises(UserError, match=re.escape(str(workspace))):
            toolkit_scores(read_workspace(workspace), ["NCC"])
        assert main(["vot", "report", "--workspace", str(workspace)]) == 2
        assert "car anchor 27 (missing)" in capsys.readouterr().err


class TestNetworkEntries:
    def test_same_boxes_as_without_the_toolkit(self, workspace):
        """An untrained network, its weights from a file, and the tracker itself agree."""
        import torch

        from tracker.model.presets import build_network
        from tracker.model.weights import save_tracker

        (workspace / "sequences" / "list.txt").write_text("dog\n")
        torch.manual_seed(0)
        network = build_network("compact_dfat_llrr").eval()
        save_tracker(network, workspace / "weights" / "compact_dfat_llrr.safetensors")
        references = ["compact_DFAT_LLRR", "compact_DFAT_LLRR@untrained"]
        outcome = run_all(
            workspace,
            references,
            workers=2,
            environment={"RGBT_DEVICE": "cpu"},
        )
        assert outcome.complete, outcome.faults()
        from_file, untrained = (trajectories(workspace, name) for name in references)
        assert from_file == untrained

        folder = workspace / "sequences" / "dog"
        path = workspace / "results" / "compact_DFAT_LLRR" / "baseline" / "dog" / "dog_00000027.bin"
        boxes = read_trajectory(path).boxes
        tracker = RGBTTracker(network)
        frames = [
            [read_image(folder / channel / f"{number:08d}.png") for channel in ("color", "ir")]
            for number in range(28, 0, -1)
        ]
        truth = read_trajectory(folder / "groundtruth.txt").boxes
        tracker.init(*frames[0], truth[-1])
        expected = [tracker.track(*frame)[0] for frame in frames[1:]]
        assert np.abs(boxes[1:] - expected).max() < 0.01

        direct = run_tracker(read_workspace(workspace), tracker).figures()
        expected = scores(workspace, references[0]).figures()
        assert direct == pytest.approx(expected, abs=1e-3)

        # Other weights: the results do not count any more.
        torch.manual_seed(1)
        other = build_network("compact_dfat_llrr").eval()
        save_tracker(other, workspace / "weights" / "compact_dfat_llrr.safetensors")
        outcome = run_all(
            workspace,
            references[:1],
            environment={"RGBT_DEVICE": "cpu"},
        )
        assert outcome.outdated == references[:1] and outcome.new == {references[0]: 2}
        assert trajectories(workspace, references[0]) != from_file

    def test_choice_of_entries(self, workspace):
        chosen, left_out = run.choose_trackers(read_workspace(workspace))
        assert {"small", "NCC", "NCC_IR", "NCC_RGB"} <= set(chosen)
        assert len([line for line in left_out if ".safetensors" in line]) == 10
        # This environment's OpenCV has CSRT or has not.
        csrt = {"CSRT_RGB", "CSRT_IR", "CSRT_MIX"}
        assert csrt <= set(chosen) or len([line for line in left_out if "contrib" in line]) == 3
        assert len([line for line in left_out if line.startswith("NANOTRACK_")]) == 3
        chosen, left_out = run.choose_trackers(
            read_workspace(workspace), ["DFAT", "NCC"], untrained=True
        )
        assert (chosen, left_out) == (["DFAT@untrained", "NCC"], [])


STILL = """
class Still:
    def init(self, rgb, ir, box): self.box = box
    def track(self, rgb, ir): return self.box, 1.0
"""


class TestOtherTrackers:
    """Entries that are no networks of this package: NanoTrack, and a user's own class."""

    @pytest.mark.parametrize("place", ["the workspace", "PYTHONPATH"])
    def test_a_tracker_of_ones_own(self, workspace, tmp_path, monkeypatch, place):
        (workspace / "sequences" / "list.txt").write_text("dog\n")
        name = f"own_{place[-4:].lower()}"  # a module of its own: the other's stays imported
        folder = workspace if place == "the workspace" else tmp_path / "modules"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.py").write_text(STILL)
        if folder != workspace:
            monkeypatch.syspath_prepend(str(folder))
            monkeypatch.setenv("PYTHONPATH", str(folder))
        entry = "\n[own]\nprotocol = traxpython\ncommand = rgbt_trax\npaths = .\n"
        with (workspace / "trackers.ini").open("a") as file:
            file.write(f"{entry}env_rgbt_tracker = {name}:Still\n")
        monkeypatch.setenv(SEARCHED, "")  # restored afterwards; the command sets it
        assert main(["vot", "evaluate", "own", "--workspace", str(workspace)]) == 0
        path = workspace / "results" / "own" / "baseline" / "dog" / "dog_00000000.bin"
        boxes = read_trajectory(path).boxes[1:]
        assert (boxes == boxes[0]).all() and len(boxes) == 27
        # Another version of the file: the results are not its.
        (folder / f"{name}.py").write_text(f"{STILL}# changed\n")
        assert run_all(workspace, ["own"]).outdated == ["own"]

    def test_a_module_that_is_not_there(self, workspace, capsys):
        entry = "\n[own]\nprotocol = traxpython\ncommand = rgbt_trax\npaths = .\n"
        with (workspace / "trackers.ini").open("a") as file:
            file.write(f"{entry}env_rgbt_tracker = nobody_wrote_this:Still\n")
        assert main(["vot", "evaluate", "own", "--workspace", str(workspace)]) == 2
        error = capsys.readouterr().err
        assert "nobody_wrote_this" in error and error.count("\n") == 1

    def test_nanotrack_as_without_the_toolkit(self, workspace, shared):
        folder = str(shared / "data" / "weights" / "nanotrack")
        (workspace / "sequences" / "list.txt").write_text("dog\n")
        outcome = run_all(workspace, ["NANOTRACK_MIX"], environment={"RGBT_NANOTRACK": folder})
        assert outcome.complete, outcome.faults()
        direct = run_tracker(read_workspace(workspace), make_tracker("nanotrack_mix", Path(folder)))
        found = scores(workspace, "NANOTRACK_MIX").figures()
        assert direct.figures() == pytest.approx(found, abs=1e-3)


class TestTuning:
    def test_polygons_start_as_through_the_toolkit(self, workspace):
        (workspace / "sequences" / "list.txt").write_text("dog\n")
        path = workspace / "sequences" / "dog" / "groundtruth.txt"
        rows = []
        for line in path.read_text().split():
            x, y, w, h = map(float, line.split(","))
            corners = (x, y + 4, x + w - 6, y, x + w, y + h - 3, x + 5, y + h)
            rows.append(",".join(f"{value:g}" for value in corners))
        path.write_text("".join(f"{row}\n" for row in rows))
        assert run_all(workspace, ["NCC"]).complete
        expected = scores(workspace, "NCC").figures()
        plan = read_workspace(workspace)
        assert run_tracker(plan, CorrelationTracker()).figures() == pytest.approx(expected)

    def test_a_start_that_cannot_be_names_its_frame(self, workspace):
        path = workspace / "sequences" / "car" / "groundtruth.txt"
        rows = path.read_text().split()
        path.write_text("".join(f"{row}\n" for row in ["0", *rows[1:]]))
        plan = read_workspace(workspace)
        with pytest.raises(UserError, match=r"^car, frame 1: box nan"):
            run_tracker(plan, CorrelationTracker())

    def test_the_best_settings_are_kept(self, workspace, tmp_path, capsys, monkeypatch):
        from tracker.model.weights import load_tracker

        (workspace / "sequences" / "list.txt").write_text("dog\n")
        choices = {"window": (0.455, 0.9), "update_interval": (15, 0)}
        monkeypatch.setattr(tuning, "CHOICES", choices)
        tuned = tmp_path / "tuned.safetensors"
        arguments = ["vot", "tune", INCLUDED_WEIGHTS, "--workspace", workspace, "-o", tuned]
        assert main([str(argument) for argument in [*arguments, "--device", "cpu"]]) == 0
        table = capsys.readouterr().out.splitlines()
        rows = [line for line in table if "border replicate" in line]  # as the weights' settings
        figures = [float(line.split()[-3]) for line in rows]
        assert len(rows) == 3 and figures == sorted(figures, reverse=True)

        loaded = load_tracker(tuned)
        plan = read_workspace(workspace)
        again = run_tracker(plan, RGBTTracker(loaded)).EAO
        assert again == pytest.approx(figures[0], abs=1e-3)

    def test_bad_input(self, workspace, tmp_path, capsys):
        arguments = ["vot", "tune", str(tmp_path / "none"), "--workspace", str(workspace)]
        assert main([*arguments, "-o", str(tmp_path / "out.safetensors")]) == 2
        assert capsys.readouterr().err.count("\n") == 1
        assert not (tmp_path / "out.safetensors").exists()


# --- Download -------------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path, workspace):
    """The official data's way of being served, with the small dataset; and what was asked for."""
    root = tmp_path / "server"
    root.mkdir()
    sequences = []
    for folder in sorted(path.parent for path in (workspace / "sequences").glob("*/sequence")):
        name = folder.name
        notes = tmp_path / "notes" / name
        notes.mkdir(parents=True)
        for annotation in ("groundtruth.txt", "anchor.value"):
            shutil.copy(folder / annotation, notes)
        archives = {"annotations": notes, "color": folder / "color", "ir": folder / "ir"}
        for kind, source in archives.items():
            shutil.make_archive(root / f"{name}_{kind}", "zip", source)
        channels = {
            channel: {
                "url": f"{name}_{channel}.zip",
                "pattern": "%08d.png",
                "uncompressed": 1,
            }
            for channel in ("color", "ir")
        }
        annotations = {"url": f"{name}_annotations.zip", "uid": name, "uncompressed": 1}
        sequences.append(
            {"name": name, "fps": 30, "annotations": annotations, "channels": channels}
        )
    description = {"name": "small", "sequences": sequences}
    (root / "description.json").write_text(json.dumps(description))
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, _, request, *rest):
            asked.append(request.split()[1].lstrip("/"))

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Handler, directory=root)
    ) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}/description.json", root, asked
        httpd.shutdown()


class TestDownload:
    """The toolkit's real download, from a server on this machine."""

    def test_lacking_pictures_are_found_and_fetched_again(self, server, tmp_path):
        url, root, asked = server
        hidden = (root / "car_ir.zip").rename(root / "hidden.zip")
        with pytest.raises(UserError, match=r"description\.json: .*car.* 0 pictures in ir"):
            download(url, tmp_path / "data", attempts=1)
        hidden.rename(root / "car_ir.zip")
        asked.clear()
        assert download(url, tmp_path / "data") == ["car", "dog"]
        # Only what was lacking was fetched in the second go.
        assert {name.split("_")[0] for name in asked} == {"description.json", "car"}
        assert len(list((tmp_path / "data").glob("*/*/*.png"))) == 2 * 2 * 28

    def test_truncated_archive(self, server, tmp_path):
        url, root, _ = server
        archive = root / "dog_color.zip"
        archive.write_bytes(archive.read_bytes()[:2000])
        with pytest.raises(UserError, match=r"description\.json: "):
            download(url, tmp_path / "data", attempts=2)
        assert not (tmp_path / "data" / "list.txt").exists()

    def test_no_network(self, tmp_path):
        with pytest.raises(UserError, match=r"description\.json: "):
            download("http://127.0.0.1:9/description.json", tmp_path / "data", attempts=1)

    def test_official_address(self):
        assert official_url("vot2020/rgbtir").endswith("vot2020/rgbtir/meta/description.json")
        with pytest.raises(UserError, match="vot1066"):
            official_url("vot1066")
