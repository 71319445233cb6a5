"""Indicators: tables in, one change of a level a row out."""
