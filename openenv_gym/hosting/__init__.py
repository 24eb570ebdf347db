"""Environments of every ecosystem behind one contract; never imports ``wire``."""
