"""Recipes, evaluation and reports, behind one command line: ``vt``."""
