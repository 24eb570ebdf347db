"""Messages, codecs and machines without input or output; ``NATIVE.md`` specifies the native dialect.

Imports ``spaces``, ``types`` and ``errors``; never asyncio, threads, sockets or the clock.
"""
