"""Which results are still right, which are made anew, and how an attempt goes on."""
