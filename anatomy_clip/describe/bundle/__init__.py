"""The bundle: what describing needs, in one folder."""
