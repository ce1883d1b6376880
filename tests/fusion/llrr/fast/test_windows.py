"""Windows: every pixel is kept once, and read with its surroundings."""

from hypothesis import given
from hypothesis import strategies as st

from fusion.llrr.fast.windows import windows


@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 12))
def test_windows_cover_the_picture_once(length, size, reach):
    pixels = list(range(length))
    kept = []
    for window in windows(length, size, reach):
        part = pixels[window.kept]
        assert pixels[window.read][window.inner] == part
        assert 0 < len(part) <= size
        needed = range(max(0, part[0] - reach), min(length, part[-1] + reach + 1))
        assert list(needed) == pixels[window.read]
        kept += part
    assert kept == pixels
