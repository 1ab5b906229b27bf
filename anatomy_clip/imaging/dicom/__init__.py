"""DICOM files to series and slices: headers, grouping, MR protocol, pixels and windows."""
