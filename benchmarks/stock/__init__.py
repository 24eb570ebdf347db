"""The stock peer, ``openenv==0.10.0``, in a virtual environment of its own.

``venv`` finds or builds that environment and is reused by the tests; ``peer`` drives it as
alternatives of a benchmark; ``scripts`` run under its interpreter and import nothing of ours.
"""
