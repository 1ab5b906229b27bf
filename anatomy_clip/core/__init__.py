"""For every package: files, worker processes with limits, refusals, terms, records, and the types of tensors."""
