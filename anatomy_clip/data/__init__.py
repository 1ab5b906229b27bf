"""Records to batches: slice store, sampler, augmentation, data set, data module."""
