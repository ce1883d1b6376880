"""The compiled kernel under the address and undefined-behaviour sanitizers."""

import shutil
import subprocess
from pathlib import Path

import pytest

from fusion.llrr.fast import cpu

COMPILER = shutil.which("g++") or shutil.which("c++")
SOURCES = sorted(Path(cpu.__file__).parent.glob("*.cpp"))


@pytest.mark.skipif(COMPILER is None, reason="no compiler")
def test_sanitizers_are_silent(tmp_path):
    flags = ["-std=c++17", "-O0", "-Wall", "-Wextra", "-Wno-psabi", "-pthread"]
    watch = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    program = tmp_path / "sanitize"
    built = subprocess.run(
        [
            COMPILER,
            *flags,
            *watch,
            Path(__file__).with_name("sanitize.cpp"),
            *SOURCES,
            "-o",
            program,
        ],
        capture_output=True,
        text=True,
    )
    if "cannot find -lasan" in built.stderr or "cannot find -lubsan" in built.stderr:
        pytest.skip("the compiler has no sanitizers")
    assert built.returncode == 0 and not built.stderr, built.stderr
    done = subprocess.run([program], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert done.stdout == f"{8 * len(cpu.levels() or ['baseline'])} runs\n"
