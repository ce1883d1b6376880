"""Training of fusion networks: losses, pairs, Lightning modules, references."""
