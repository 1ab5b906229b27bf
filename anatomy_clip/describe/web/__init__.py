"""The web page of `anatomy-clip serve`: its server, and the process behind it that describes."""
