"""Pure functions on arrays: hit@1, AUROC, intervals."""
