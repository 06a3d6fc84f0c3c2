"""A policy of two million parameters that reads forms and receipts, and finds what to look at.

A stock Qwen2.5-VL with the family's real patches and merging. :func:`warm_up_pages` trains it from
nothing: it reads what is legible, writes boxes, and asks for more in half of the questions,
whatever the print. When to ask is left to reinforcement learning.
"""
