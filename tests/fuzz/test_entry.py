"""Invalid messages to the entry of a VOT workspace: answered, or ended with one line."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from malformed import DAMAGES, PATIENCE, counts, damaged, examples

from fusion.images.reading import write_image

WORKSPACE = Path(__file__).parents[2] / "vot_workspace"

# Loads the entry once, then forks for every request, a line of JSON: a file with messages, and one
# for what it prints. Answers with the exit code, negative for a signal.
SERVER = """
import json, os, signal, sys
sys.path.insert(0, sys.argv[1])
import cv2
cv2.setNumThreads(0)
import rgbt_trax
rgbt_trax.GRACE = 0.3
from tracker.evaluation.baselines.correlation import CorrelationTracker

for line in sys.stdin:
    messages, out, err = json.loads(line)
    pid = os.fork()
    if pid == 0:
        signal.alarm(int(sys.argv[2]))
        for number, path in ((1, out), (2, err)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
        reading, writing = os.pipe()
        with open(messages, "rb") as file:
            os.write(writing, file.read())
        os.dup2(reading, 0)
        os.close(writing)
        code = 1
        try:
            code = rgbt_trax.serve(CorrelationTracker(), "fuzz")
        except BaseException:
            import traceback
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """Sends messages to a new entry; returns exit code, replies and error output."""
    folder = tmp_path_factory.mktemp("entry")
    command = [sys.executable, "-c", SERVER, str(WORKSPACE), str(PATIENCE)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def send(messages: bytes):
        counts["messages"] += 1
        paths = [folder / name for name in ("in", "out", "err")]
        paths[0].write_bytes(messages)
        for path in paths[1:]:
            path.unlink(missing_ok=True)
        process.stdin.write(json.dumps([str(path) for path in paths]) + "\n")
        process.stdin.flush()
        code = int(process.stdout.readline())
        out, err = (path.read_text(errors="replace") for path in paths[1:])
        # The alarm's signal is a hang. The protocol's own library dies of some messages out of
        # order, before anything of ours runs: it reads a region or frame that was never sent.
        known = (0, 2, -signal.SIGSEGV)
        assert code in known, (code, out, err)
        assert "Traceback" not in err
        for numbers in re.findall(r'@@TRAX:state "([^"]*)"', out):
            box = [float(number) for number in numbers.split(",")]
            assert len(box) == 4 and np.isfinite(box).all() and min(box[2:]) > 0, out
        if code == 2:
            assert err.splitlines()[-1].startswith("rgbt_trax: ")
        return code, out, err

    yield send
    process.stdin.close()
    assert process.wait(PATIENCE) == 0


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    rng = np.random.default_rng(0)
    for name, size in (("a", (24, 32)), ("b", (24, 32)), ("small", (3, 5)), ("large", (60, 50))):
        write_image(folder / f"{name}.png", rng.integers(0, 256, size, np.uint8))
    write_image(folder / "color.png", rng.integers(0, 256, (24, 32, 3), np.uint8))
    (folder / "cut.png").write_bytes((folder / "a.png").read_bytes()[:90])
    (folder / "empty.png").touch()
    return folder


def quoted(*arguments):
    return "".join(f' "{argument}"' for argument in arguments)


def session(folder, start="4,5,10,8", pictures=("a", "b", "a")):
    lines = [f"@@TRAX:initialize{quoted(start)}"]
    for name in pictures:
        lines.append(f"@@TRAX:frame{quoted(*[f'file://{folder}/{name}.png'] * 2)}")
    return "\n".join([*lines, "@@TRAX:quit", ""]).encode()


def test_a_whole_session_is_answered(serve, frames):
    """Negative control."""
    code, out, err = serve(session(frames))
    assert code == 0 and err == "" and out.count("@@TRAX:state") == 3


@examples(25, 150)
@given(DAMAGES)
def test_damaged_sessions(serve, frames, damages):
    serve(damaged(session(frames), damages))


NUMBERS = st.one_of(
    st.integers(-50, 100).map(str),
    st.floats().map(repr),
    st.sampled_from(["nan", "inf", "", "x", "1e99", "-", "%s", "1 2"]),
)
REGIONS = st.one_of(
    st.lists(NUMBERS, max_size=9).map(",".join),
    st.just("4,5,10,8"),
    st.sampled_from(["m0,0,4,4,3,9", "m1,1,60000,60000,1,1", "0", "", "M:1"]),
)
PICTURES = st.sampled_from(["a", "b", "color", "small", "large", "cut", "empty", "none"])
IMAGES = st.one_of(
    st.builds(lambda name: f"file://FOLDER/{name}.png", PICTURES),
    st.builds(lambda name: f"FOLDER/{name}.png", PICTURES),
    st.sampled_from(
        ["file://", "data:image/png;base64,AAAA", "image:3;4;gray;AAAA", "http://x", ""]
    ),
    st.text(st.characters(blacklist_characters='"\\\n'), max_size=8),
)
MESSAGES = st.one_of(
    st.builds(lambda region: f"@@TRAX:initialize{quoted(region)}", REGIONS),
    st.builds(lambda images: f"@@TRAX:frame{quoted(*images)}", st.lists(IMAGES, max_size=3)),
    st.builds(lambda a, b: f"@@TRAX:frame{quoted(a, b)}", IMAGES, IMAGES),
    st.sampled_from(
        ["@@TRAX:quit", "@@TRAX:state", "@@TRAX:hello", "@@TRAX:", "", "@@TRAX:frame x=1"]
    ),
)


@examples(30, 250)
@given(st.lists(MESSAGES, max_size=5), st.booleans())
def test_sessions_of_any_messages(serve, frames, messages, is_started):
    text = "\n".join([*messages, ""]).replace("FOLDER", str(frames)).encode("utf-8", "replace")
    start = session(frames, pictures=["a"]).removesuffix(b"@@TRAX:quit\n")
    serve(start + text if is_started else text)
