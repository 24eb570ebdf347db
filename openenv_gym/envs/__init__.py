"""The faces, where client, server and hosting meet: Gymnasium's ``Env`` and ``VectorEnv``."""
