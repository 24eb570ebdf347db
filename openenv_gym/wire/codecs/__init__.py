"""The two dialects: ``json`` is OpenEnv's, ``native`` is ours."""
