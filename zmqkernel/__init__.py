"""zmqkernel: a live Python session that outlives everything around it."""

__version__ = "0.1.0"
