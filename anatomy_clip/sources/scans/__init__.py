"""Collections of CT and MR scans."""
