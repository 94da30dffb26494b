"""Files: read whole or refused in words, written whole or not at all; JSON, YAML and pickles as plain data."""
