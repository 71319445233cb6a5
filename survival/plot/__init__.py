"""Figures from tidy frames; nothing is fitted here."""
