"""Payments at terminals: which session each is for, and vendors that take the money themselves."""
