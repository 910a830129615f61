"""Training of one task after the other: data, loop, losses and memory."""
