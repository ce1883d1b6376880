"""``fusion live`` as a program: a clean end on a signal, complete files, one line for bad input."""

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request

import pytest
from streams import Channel, Streams, read

from fusion.commands.cli import main
from fusion.images.video import Video

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX systems")


# A terminal would pass SIGINT on; a test runner in the background may have it ignored.
PROGRAM = """\
import signal, sys
from fusion.commands.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_clean_end(counted, tmp_path, number):
    ir, vis = Channel(counted / "ir.avi", 25), Channel(counted / "vis.mkv", 30)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with Streams(ir, vis) as streams:
        command = [sys.executable, "-c", PROGRAM, "live"]
        command += [streams.address("ir"), streams.address("vis"), "--method", "average"]
        command += ["--record", str(tmp_path / "rec"), "--port", "0", "--no-window"]
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        guard = threading.Timer(120, process.kill)
        guard.start()
        try:
            address = process.stdout.readline().split()[1]
            recorded = {"ir": 0, "vis": 0}
            while min(recorded.values()) < 20:
                with urllib.request.urlopen(f"{address}status", timeout=20) as answer:
                    recorded = (json.load(answer)["recording"] or {"frames": recorded})["frames"]
            process.send_signal(number)
            out, err = process.communicate()
        finally:
            guard.cancel()
            process.kill()
    assert process.returncode == 0, err
    assert "pictures" in out and "Traceback" not in err and "recorded" in err
    (folder,) = (tmp_path / "rec").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["infrared.mkv", "visible.mkv"]
    for path in folder.iterdir():
        counters = [read(image) for image in Video(path)]
        assert len(counters) >= 20 and None not in counters


def test_files_end_by_themselves(tmp_path, capsys):
    from streams import write_video

    write_video(tmp_path / "ir.mkv", 25, range(12), color=False)
    write_video(tmp_path / "vis.mkv", 30, range(15), color=True)
    paths = [str(tmp_path / name) for name in ("ir.mkv", "vis.mkv")]
    options = ["--method", "average", "--port", "0", "--no-window"]
    assert main(["live", *paths, *options]) == 0
    said = capsys.readouterr()
    assert "http://127.0.0.1:" in said.out and "of both cameras" in said.out
    assert "ended" in said.err


def test_bad_input_is_one_line(counted, tmp_path, capsys):
    vis, ir = str(counted / "vis.mkv"), str(counted / "ir.avi")
    (tmp_path / "text.mkv").write_text("no video")
    (tmp_path / "calibration.yaml").write_text("model: shift\n")
    average = ["--method", "average", "--no-window", "--port", "0"]

    def refused(*arguments):
        code = main(["live", *arguments])
        said = capsys.readouterr()
        lines = [line for line in said.err.splitlines() if not line.startswith("infrared:")]
        assert code == 2 and "Traceback" not in said.err
        return lines[-1]

    assert "nowhere.mkv: no such file" in refused("nowhere.mkv", vis, *average)
    assert "text.mkv: not a readable video" in refused(str(tmp_path / "text.mkv"), vis, *average)
    assert "for both modalities" in refused(vis, vis, *average)
    assert "--delay 70" in refused(ir, vis, *average, "--delay", "70")
    assert "calibration.yaml" in refused(
        ir, vis, *average, "--align", str(tmp_path / "calibration.yaml")
    )
    assert "no camera can be opened" in refused(
        "http://127.0.0.1:9/a", "http://127.0.0.1:9/b", *average
    )
    with pytest.raises(SystemExit):
        main(["live", ir, vis, "--port", "many"])
