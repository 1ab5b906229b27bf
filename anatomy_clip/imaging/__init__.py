"""Files to pixels: volumes, orientation and intensity."""
