"""Networks only: image and text towers, and their weights."""
