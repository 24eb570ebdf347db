"""Where servers run: start, endpoint, logs, stop. Knows nothing of messages."""
