"""From files to a standard description: stations, organs, caption, and their codes."""
