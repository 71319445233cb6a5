"""Experiments: a YAML config in, a run under results out."""
