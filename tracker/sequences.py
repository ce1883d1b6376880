"""Reading sequences and datasets, under the name that scripts use; see `tracker.data.sequences`."""

from tracker.data.sequences import Dataset, Sequence, load_dataset, load_sequence

__all__ = ["Dataset", "Sequence", "load_dataset", "load_sequence"]
