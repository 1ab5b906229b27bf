"""Words and labels: the taxonomy, DICOM terms and slice records."""
