"""Two cameras live: read, pair by time, show, record.

In reading order: `sources` opens what a user names, `clock` tells when a frame was taken, `cameras`
keeps a camera's newest frames and reconnects, `pairing` decides which frames belong together,
`pipeline` computes what is shown, `recording` writes both videos, `server` is the page in the
browser and `window` the window, and `session` is a run of ``fusion live`` or ``tracker live``.
"""
