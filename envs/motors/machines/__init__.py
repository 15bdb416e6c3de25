"""The ten machine families: what their circuits say, and nothing about converters, loads or control."""
