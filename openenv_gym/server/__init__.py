"""Sessions, attachments, and the doors to them; the heavy imports (FastAPI, uvicorn) live here.

May import ``wire``, ``hosting``, ``spaces``; never ``client``.
"""
