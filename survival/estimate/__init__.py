"""Estimates from flows and episode arrays, tidy out."""
