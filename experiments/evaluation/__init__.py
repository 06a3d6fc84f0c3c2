"""Evaluation: what is played in which mode, what is kept of it, and what that comes to.

    Part × Mode ──blocks──▶ Player (this process, others, or machines) ──entries──▶ Journal
                                                                                      │
              result.json ◀── summarise ◀── rows in the source's order ◀── finish ◀───┘

A *part* is a source with its judge, a *mode* the way in which the agent plays it. Blocks of samples
do not depend on who plays them, so neither do the rows.
"""
