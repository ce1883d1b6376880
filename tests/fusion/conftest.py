"""Fixtures of the fusion tests."""

import pytest


@pytest.fixture(scope="session")
def street_pairs(tmp_path_factory):
    """A function that makes generated pairs in ``ir`` and ``vis`` of a new folder."""
    from fusion.commands.scene import street_pair
    from fusion.images.reading import write_image

    def make(count, width, height):
        folder = tmp_path_factory.mktemp("pairs")
        for i in range(count):
            ir, vis = street_pair(width, height, seed=i)
            write_image(folder / "ir" / f"{i}.png", ir)
            write_image(folder / "vis" / f"{i}.png", vis)
        return folder

    return make
