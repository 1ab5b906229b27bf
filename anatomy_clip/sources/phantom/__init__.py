"""The embedded data set: whole bodies drawn from a seed, and the CT and MR pictures of them."""
