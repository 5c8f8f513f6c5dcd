"""A process of its own in which untrusted files are decoded: one that crashes, or hangs, costs its page alone."""
