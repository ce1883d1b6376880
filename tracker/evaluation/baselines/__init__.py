"""Trackers to compare with that need no training here, registered by name for ``--tracker``.

========================  ==================================================================
``ncc``, ``ncc_*``        normalised cross-correlation on both modalities, or on one
``csrt_*``                OpenCV's CSRT; needs the package opencv-contrib-python
``nanotrack_*``           OpenCV's TrackerNano; needs NanoTrack v2's two ONNX files, whose folder
                          the environment variable RGBT_NANOTRACK names
========================  ==================================================================

``*`` is ``rgb``, ``ir``, or ``mix``, the mean of both pictures (which ``ncc`` does not have).
"""
