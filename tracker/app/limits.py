"""How large the files of a visitor may be."""

from dataclasses import dataclass
from pathlib import Path

from fusion.base.errors import UserError


@dataclass(frozen=True)
class Limits:
    """What is refused before it is decoded.

    Attributes:
        upload_bytes: bytes of one uploaded file, and of what a ZIP archive holds.
        pixels: pixels of one picture or frame.
        frames: frames of one video or sequence.
    """

    upload_bytes: int = 1_000_000_000
    pixels: int = 50_000_000
    frames: int = 20_000

    def check_bytes(self, name: str, size: int) -> None:
        """Refuse a file of more than `upload_bytes`.

        Raises:
            UserError: it is larger; the message names the limit and its option.
        """
        if size > self.upload_bytes:
            raise UserError(
                f"{name}: larger than {self.upload_bytes / 1e6:.0f} MB, the limit of this app "
                "(--max-upload)"
            )

    def check_size(self, name: str, width: int, height: int) -> None:
        """Refuse a picture of more than `pixels`.

        Raises:
            UserError: it has more; the message names the limit and its option.
        """
        if width * height > self.pixels:
            raise UserError(
                f"{name}: {width}x{height} pixels are more than {self.pixels / 1e6:g} million, the "
                "limit of this app (--max-pixels)"
            )

    def check_frames(self, name: str, count: int) -> None:
        """Refuse a video of more than `frames`.

        Raises:
            UserError: it has more; the message names the limit and its option.
        """
        if count > self.frames:
            raise UserError(
                f"{name}: more than {self.frames} frames, the limit of this app (--max-frames); "
                "cut the video into parts"
            )

    def check_picture(self, path: Path) -> None:
        """Refuse a picture file by what its header states.

        Raises:
            UserError: it is no picture, or has too many pixels.
        """
        from fusion.images.reading import picture_size, read_image

        size = picture_size(path)
        if size is None:
            size = read_image(path).shape[1::-1]
        self.check_size(path.name, *size)

    def check_video(self, path: Path) -> None:
        """Refuse a video file by what its container states and its first frame shows.

        Raises:
            UserError: it is no video, its frames have too many pixels, or it has too many frames.
        """
        from fusion.images.video import Video

        with Video(path) as video:
            self.check_size(path.name, *video.size)
            self.check_frames(path.name, video.frame_count)
