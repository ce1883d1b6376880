"""Training of trackers: sources, sampling, augmentation, losses, Lightning modules."""
