"""Learning on several devices: ranks, what they are given, and how they are started."""
