"""Products of others between the same provider and the same client, each in an environment of its own."""
