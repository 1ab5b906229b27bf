"""Pure functions on arrays: hit@1, AUROC, bootstrap intervals."""
