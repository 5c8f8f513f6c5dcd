"""Hostile inputs, thrown at the program: see __main__.py."""
