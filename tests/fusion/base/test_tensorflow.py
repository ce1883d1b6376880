"""TensorFlow checkpoints are read without TensorFlow; damaged ones are refused."""

import shutil

import numpy as np
import pytest

from fusion.base.checkpoints import read_tensors
from fusion.base.errors import UserError
from fusion.base.tensorflow import _crc32c, read_tensorflow
from fusion.networks.weights import load_network

FILES = {"pmgi": "CGAN.model-1", "sdnet": "IRVIS.model-10"}


@pytest.fixture(params=FILES)
def checkpoint(request, shared, tmp_path):
    """A copy of a published checkpoint: its method and its .index file."""
    name = FILES[request.param]
    for path in (shared / "data/baselines" / request.param).glob(f"{name}.*"):
        shutil.copy(path, tmp_path / path.name)
        (tmp_path / path.name).chmod(0o644)
    return request.param, tmp_path / f"{name}.index"


def test_all_tensors_equal_those_that_were_read_out(checkpoint, shared):
    method, path = checkpoint
    tensors = read_tensorflow(path)
    with np.load(shared / f"data/baselines/{method}/{method}.npz") as expected:
        assert tensors.keys() == set(expected)
        for name, array in expected.items():
            assert tensors[name].dtype is not None
            np.testing.assert_array_equal(tensors[name].numpy(), array)


def test_the_checksum_is_castagnolis():
    """The check value of CRC-32C, masked as in LevelDB."""
    crc = 0xE3069283
    assert _crc32c(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_a_changed_byte_is_noticed_anywhere(checkpoint):
    _, index = checkpoint
    data = index.with_suffix(".data-00000-of-00001")
    for path, places in ((index, (30, 700)), (data, (5, 20_000))):
        whole = path.read_bytes()
        for place in places:
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
            with pytest.raises(UserError, match=path.name):
                read_tensorflow(index)
        path.write_bytes(whole)
    read_tensorflow(index)


def test_missing_and_truncated_files(checkpoint):
    method, index = checkpoint
    data = index.with_suffix(".data-00000-of-00001")
    with pytest.raises(UserError, match=r"part of a TensorFlow checkpoint; give the \.index"):
        read_tensors(data)
    data.write_bytes(data.read_bytes()[:1000])
    with pytest.raises(UserError, match=f"{data.name}: truncated at"):
        read_tensors(index)
    data.unlink()
    with pytest.raises(UserError, match=f"{data.name}: cannot be read"):
        load_network(index, method=method)
    index.write_bytes(b"not a table" * 9)
    with pytest.raises(UserError, match=f"{index.name}: not a TensorFlow checkpoint"):
        load_network(index)


def test_the_method_is_recognised_and_another_is_refused(checkpoint):
    method, index = checkpoint
    assert type(load_network(index)) is type(load_network(index.parent, method=method))
    other = {"pmgi": "sdnet", "sdnet": "pmgi"}[method]
    with pytest.raises(UserError, match=f"weights of {method}, not of {other}"):
        load_network(index, method=other)
