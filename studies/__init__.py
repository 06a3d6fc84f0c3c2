"""This group's research: studies as data files, and the programs behind the pages that report them.

``vt study NAME`` runs a study; ``python -m studies.price`` does more with the one over the price of
a visual token. Nothing here is in the wheel.
"""
