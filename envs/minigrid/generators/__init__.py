"""Levels made on the device, with the distributions of the `minigrid` package; `catalog.NATIVE` lists them by id."""
