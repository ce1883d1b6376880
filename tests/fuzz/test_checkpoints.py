"""Damaged weights files: refused in one line with their name; their code is never run."""

import io
import json
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from malformed import (
    DAMAGES,
    JUNK,
    REMOVED,
    assert_refused,
    counts,
    damaged,
    examples,
    places,
    replaced,
    run,
    scratch,
    to_json,
    tree,
)

from fusion.commands.cli import main as fusion
from fusion.images.pixels import PixelScaling
from fusion.images.reading import read_image, write_image
from fusion.networks.lrrnet import LRRNet
from fusion.networks.weights import save_network
from tracker.commands.cli import main as tracker
from tracker.model.presets import build_network
from tracker.model.weights import save_tracker

SMALL = {"search_size": 111, "channels": 8, "fusion_args": {"num_filters": 2, "num_blocks": 1}}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Whole weights files of this package: of LRRNet, and of a tracker."""
    folder = tmp_path_factory.mktemp("own")
    torch.manual_seed(0)
    scaling = PixelScaling(output="clamp", rounding="round")
    save_network(
        LRRNet(num_filters=2, num_blocks=1, scaling=scaling), folder / "fusion.safetensors"
    )
    save_tracker(build_network("compact_rgb", **SMALL), folder / "tracker.safetensors")
    return {path.stem: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def saved():
    """A PyTorch checkpoint of LRRNet's tensors, in the present and in the old format."""
    state = LRRNet(num_filters=2, num_blocks=1).state_dict()
    files = {}
    for name, new in (("zip", True), ("old", False)):
        buffer = io.BytesIO()
        torch.save({"state_dict": state}, buffer, _use_new_zipfile_serialization=new)
        files[name] = buffer.getvalue()
    return files


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        write_image(folder / name / "1.png", rng.integers(0, 256, (24, 32), np.uint8))
    return folder


def use(program, pictures, folder, name, data):
    """Run the command on the weights, and check what must always hold."""
    counts["checkpoints"] += 1
    weights, out = folder / name, folder / "out"
    weights.write_bytes(data)
    before = tree(folder)
    if program == "fusion":
        pair = pictures / "a/1.png", pictures / "b/1.png"
        outcome = run(fusion, "fuse", *pair, "-o", out / "fused.png", "--weights", weights)
    else:
        pair = pictures / "a", pictures / "b"
        start = ("--box", "4,4,12,10", "--weights", weights)
        outcome = run(tracker, "track", *pair, *start, "-o", out)
    if outcome.code == 0:
        written = {path.name for path in out.iterdir()}
        assert written == (
            {"fused.png"} if program == "fusion" else {"boxes.txt", "scores.txt", "report.json"}
        )
        if program == "fusion":
            assert read_image(out / "fused.png").shape == (24, 32)
    else:
        assert_refused(outcome, name)
        assert tree(folder) == before
    return outcome


@pytest.mark.parametrize("program", ["fusion", "tracker"])
def test_whole_files_are_used(own, pictures, program):
    """Negative control."""
    with scratch() as folder:
        assert use(program, pictures, folder, "w.safetensors", own[program]).code == 0


@examples(8, 120)
@given(st.sampled_from(["fusion", "tracker"]), DAMAGES)
def test_damaged_bytes_of_safetensors(own, pictures, program, damages):
    """Changed bytes of a tensor cannot be detected; a changed length must be."""
    data = damaged(own[program], damages)
    with scratch() as folder:
        outcome = use(program, pictures, folder, "w.safetensors", data)
    assert outcome.code == 2 or len(data) == len(own[program])


def split(data):
    """Header and tensors of a safetensors file."""
    (length,) = struct.unpack_from("<Q", data)
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(header, tensors):
    text = to_json(header).encode()
    return struct.pack("<Q", len(text)) + text + tensors


@examples(8, 90)
@given(st.data(), st.sampled_from(["fusion", "tracker"]))
def test_damaged_headers_of_safetensors(own, pictures, data, program):
    header, tensors = split(own[program])
    path = data.draw(st.sampled_from(list(places(header))))
    header = replaced(header, path, data.draw(JUNK | st.just(REMOVED)))
    with scratch() as folder:
        use(program, pictures, folder, "w.safetensors", joined(header, tensors))


@examples(12, 150)
@given(st.data(), st.sampled_from(["fusion", "tracker"]))
def test_damaged_metadata(own, pictures, data, program):
    """Invalid values for architecture, scaling and online settings."""
    header, tensors = split(own[program])
    metadata = header["__metadata__"]
    name = data.draw(st.sampled_from(sorted(set(metadata) - {"network", "family"})))
    content = json.loads(metadata[name])
    strange = JUNK | st.integers(-3, 5000) | st.lists(st.integers(-2, 300), max_size=3)
    for _ in range(data.draw(st.integers(1, 2))):
        known = list(places(content))
        added = st.tuples(st.sampled_from(["new", "gate"]))
        path = data.draw(st.sampled_from(known) | added if known else added)
        if path in known:
            content = replaced(content, path, data.draw(strange | st.just(REMOVED)))
        else:
            content = replaced(content, path, data.draw(strange))
    whole = data.draw(
        st.sampled_from([None, None, None, "", "[]", "null", "1", "{", '{"a":' * 999])
    )
    metadata[name] = to_json(content) if whole is None else whole
    with scratch() as folder:
        use(program, pictures, folder, "w.safetensors", joined(header, tensors))


@examples(4, 30)
@given(st.data(), st.sampled_from(["fusion", "tracker"]))
def test_tensors_that_are_not_finite(own, pictures, data, program):
    header, tensors = split(own[program])
    names = [n for n, v in header.items() if n != "__metadata__" and v["dtype"] == "F32"]
    first, last = header[data.draw(st.sampled_from(names))]["data_offsets"]
    place = data.draw(st.integers(0, (last - first) // 4 - 1)) * 4 + first
    value = struct.pack("<f", data.draw(st.sampled_from([np.nan, np.inf, -np.inf])))
    with scratch() as folder:
        content = joined(header, tensors[:place] + value + tensors[place + 4 :])
        assert use(program, pictures, folder, "w.safetensors", content).code == 2


@examples(10, 120)
@given(st.sampled_from(["zip", "old"]), st.sampled_from(["fusion", "tracker"]), DAMAGES)
def test_damaged_pytorch_files(saved, pictures, kind, program, damages):
    """LRRNet's tensors without its architecture are refused, damaged or not."""
    with scratch() as folder:
        outcome = use(program, pictures, folder, "w.pth", damaged(saved[kind], damages))
    assert outcome.code == 2


@pytest.fixture(scope="module")
def tensorflow(shared, pictures, tmp_path_factory):
    """A published TensorFlow checkpoint, and what it fuses."""
    folder = shared / "data/baselines/pmgi"
    out = tmp_path_factory.mktemp("whole") / "fused.png"
    pair = pictures / "a/1.png", pictures / "b/1.png"
    weights = folder / "CGAN.model-1.index"
    assert run(fusion, "fuse", *pair, "-o", out, "--weights", weights).code == 0
    suffixes = (".index", ".data-00000-of-00001")
    return {s: weights.with_suffix(s).read_bytes() for s in suffixes}, read_image(out)


@examples(8, 120)
@given(st.sampled_from([".index", ".data-00000-of-00001"]), DAMAGES)
def test_damaged_tensorflow_files(tensorflow, pictures, suffix, damages):
    """Checksums cover all tensors and their table: what is not refused changes nothing."""
    counts["checkpoints"] += 1
    files, expected = tensorflow
    with scratch() as folder:
        for name, data in files.items():
            content = damaged(data, damages) if name == suffix else data
            (folder / f"w{name}").write_bytes(content)
        pair = pictures / "a/1.png", pictures / "b/1.png"
        out = folder / "out/fused.png"
        outcome = run(fusion, "fuse", *pair, "-o", out, "--weights", folder / "w.index")
        if outcome.code == 0:
            assert np.array_equal(read_image(out), expected)
        else:
            assert_refused(outcome, "w.index", "w.data-00000-of-00001")


# --- What would run code --------------------------------------------------------------------------


class Bomb:
    """Unpickling this calls ``call`` with ``arguments``."""

    def __init__(self, call, *arguments):
        self.what = call, arguments

    def __reduce__(self):
        return self.what


def touch(mark):
    """Several ways in which unpickling could run code."""
    return [
        Bomb(os.mkdir, mark),
        Bomb(os.system, f"mkdir {mark}"),
        Bomb(eval, f"__import__('os').mkdir({mark!r})"),
        Bomb(exec, f"import os; os.mkdir({mark!r})"),
        Bomb(open, mark, "w"),
        Bomb(torch.save, [1], mark),
        Bomb(getattr, Bomb(eval, f"__import__('os').mkdir({mark!r})"), "x"),
    ]


def wrap(bomb, form, protocol, state):
    """A weights file that contains such an object."""
    content = {
        "alone": bomb,
        "beside": {**state, "x": bomb},
        "nested": {"state_dict": {**state, "x": [bomb]}},
        "key": {"state_dict": state, "epoch": (1, bomb)},
    }[form]
    return content, protocol


def write(content, writer, protocol):
    buffer = io.BytesIO()
    if writer == "pickle":
        pickle.dump(content, buffer, protocol=protocol)
    elif writer == "zip by hand":
        with zipfile.ZipFile(buffer, "w") as file:
            file.writestr("archive/data.pkl", pickle.dumps(content, protocol=protocol))
            file.writestr("archive/version", "3\n")
    else:
        zipped = writer == "torch"
        torch.save(content, buffer, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


@examples(12, 120)
@given(
    st.integers(0, 6),
    st.sampled_from(["alone", "beside", "nested", "key"]),
    st.sampled_from(["pickle", "torch", "old torch", "zip by hand"]),
    st.integers(2, 5),
    st.sampled_from(["w.pth", "w.pt", "w.pkl", "w.model", "w.ckpt", "w.tar", "w.safetensors"]),
    st.sampled_from(["fusion", "tracker"]),
    st.one_of(st.just([]), DAMAGES),
)
def test_code_is_never_run(pictures, which, form, writer, protocol, name, program, damages):
    with scratch() as folder:
        mark = folder / "mark"
        state = {"a": torch.zeros(2)}
        content, protocol = wrap(touch(str(mark))[which], form, protocol, state)
        data = damaged(write(content, writer, protocol), damages)
        assert use(program, pictures, folder, name, data).code == 2
        assert not mark.exists()


def test_the_bombs_are_live(tmp_path):
    """Negative control: an unpickler without restrictions sets them off."""
    for number, bomb in enumerate(touch(str(tmp_path / "mark"))[:6]):
        mark = tmp_path / "mark"
        pickle.loads(pickle.dumps(bomb))
        assert mark.exists(), number
        mark.rmdir() if mark.is_dir() else mark.unlink()
