"""DICOMweb servers: studies fetched, documents stored."""
