"""Labelled data in: which formats are read, what is skipped, and the verified set that comes out."""
