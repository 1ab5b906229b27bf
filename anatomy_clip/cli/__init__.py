"""The `anatomy-clip` command."""
