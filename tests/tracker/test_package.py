"""The package's own names, and that importing it is light."""

import subprocess
import sys

import tracker


def test_public_names_are_importable():
    for name in tracker.__all__:
        assert getattr(tracker, name) is not None
    assert tracker.build is tracker.build_network is tracker.model.presets.build_network


def test_import_loads_nothing_slow():
    code = (
        "import sys, tracker, tracker.commands.cli;"
        "print({'torch', 'cv2', 'vot'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
