"""Collections of images: each yields slices with their records."""
