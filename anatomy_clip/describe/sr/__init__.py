"""DICOM Structured Reports: written and read."""
