"""Seeded fault simulation: the real cluster, people in front of it, and everything that can go wrong.

    python -m tests.simulation --seeds 1-200

A seed makes a schedule of sends, follows, stops, reloads, tabs and faults; the same seed makes the
same schedule again. After each run `verdict` holds what is stored, shown and billed against the
provider's own record of what it sent.
"""
