"""Decoded frames, in memory or in a folder of memory-mapped arrays."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from fusion.base.errors import UserError
from fusion.base.files import make_folder, whole_file


class FrameStore:
    """Decodes every frame only once, because decoding is the slowest part of a training pair.

    Args:
        folder: folder for decoded frames, stored as one ``.npy`` file per array and shared by all
            processes and later runs (uint8: 0.9 MB for an RGB frame of 640x360 and its mask). If
            None, callers keep the arrays in memory, in every process.

    Raises:
        UserError: the path exists but is not a folder.
    """

    def __init__(self, folder: str | Path | None = None):
        self.folder = None if folder is None else make_folder(Path(folder))

    def arrays(
        self, name: str, files: Sequence[Path], decode: Callable[[], dict[str, np.ndarray]]
    ) -> dict[str, np.ndarray]:
        """The result of ``decode()``, from the folder if it is there.

        Args:
            name: prefix of the kept files; a hash of paths, sizes and times of ``files`` follows.
            files: the decoded files. If one of them changes, they are decoded again.
            decode: returns arrays by name, always with the same names.
        """
        if self.folder is None:
            return decode()
        stem = f"{name}-{_fingerprint(files)}"
        kept = {path.name.split(".")[-2]: path for path in self.folder.glob(f"{stem}.*.npy")}
        done = self.folder / f"{stem}.done"
        if done.is_file():
            try:
                return {key: np.load(path, mmap_mode="r") for key, path in kept.items()}
            except (ValueError, OSError):
                pass  # damaged: decoded and written again below
        made = decode()
        for key, array in made.items():
            with whole_file(self.folder / f"{stem}.{key}.npy") as path, path.open("wb") as file:
                np.save(file, array, allow_pickle=False)
        with whole_file(done) as path:
            path.write_text(",".join(made) + "\n")
        return made


def _fingerprint(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        try:
            state = path.stat()
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error
        digest.update(f"{path.resolve()}\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
    return digest.hexdigest()[:16]
