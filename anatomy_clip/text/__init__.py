"""Records to sentences: caption templates and the sampler that augments them."""
