"""Expressions: read whole by a closed grammar, worked out exactly or to 150 digits, and compared.

Nothing here knows of questions and answers: ``latex`` writes LaTeX in a line of plain signs,
``parser`` reads that line into a tree, ``arithmetic`` says what a tree is worth and whether two
are equal. The judges ``math`` and ``auto`` ask it.
"""
