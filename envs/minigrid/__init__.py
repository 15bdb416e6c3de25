"""MiniGrid and BabyAI on the device: the mechanics of the `minigrid` package as pure functions of arrays."""
