"""Churn definitions: tables in, one spell a row out."""
