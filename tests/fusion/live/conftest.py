"""Files with counters, for the live tests."""

import pytest
from streams import write_video


@pytest.fixture(scope="session")
def counted(tmp_path_factory):
    """Ten seconds of counters: ``ir.avi`` at 25, ``vis.mkv`` at 30 frames per second."""
    folder = tmp_path_factory.mktemp("counted")
    write_video(folder / "ir.avi", 25, range(250), color=False)
    write_video(folder / "vis.mkv", 30, range(300), color=True)
    return folder
