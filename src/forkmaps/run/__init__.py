"""A run: the planned maps of a set are drawn by workers, put in place, and reported on."""
