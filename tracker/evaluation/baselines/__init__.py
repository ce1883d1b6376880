"""Baseline trackers that need no training here, by their name in `TRACKERS`.

    ========================  =================================================================
    ``ncc``, ``ncc_*``        normalised cross-correlation on both modalities, or on one
    ``csrt_*``                OpenCV's CSRT; needs the package opencv-contrib-python
    ``nanotrack_*``           OpenCV's TrackerNano; needs NanoTrack v2's two ONNX files
    ========================  =================================================================

``*`` is ``rgb``, ``ir``, or ``mix``, the mean of both images (which ``ncc`` does not have).
"""
