"""Learning on: an arm predicts, acts, compares, records where it errs most, and trains anew, until it is good enough.

``settings`` imports nothing slow; ``loop`` is to be read from top to bottom.
"""
