"""DICOM files to series and slices: headers, grouping, MR protocol, pixels and windows."""

import logging
import warnings

# pydicom warns and logs with the header's own words, which can be a name: they reach neither a stream nor a log.
logging.getLogger("pydicom").propagate = False
logging.getLogger("pydicom").addHandler(logging.NullHandler())
# A warning counts as its caller's, so those of the rooms that call pydicom are meant too; they give none themselves.
warnings.filterwarnings("ignore", module=r"(pydicom|highdicom|anatomy_clip\.(imaging|describe|sources))\b")
