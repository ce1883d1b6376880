"""Results of any number of trackers on the frames of a sequence, so that failures can be seen.

`runs` reads results and compares them with the annotation, `pictures` draws frames as a video or a
contact sheet, `page` writes a self-contained HTML page, and `dataset` does this for all sequences
of a dataset.
"""
