"""Real radiographs: DICOM files and published collections, one module a collection."""
