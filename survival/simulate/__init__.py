"""A simulated SaaS company whose truth is known."""
