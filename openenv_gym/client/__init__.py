"""Transports, and the blocking and asynchronous clients over one machine; never imports ``server``."""
