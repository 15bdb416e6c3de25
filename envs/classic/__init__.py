"""Two classic control tasks with their physics as the task: quick checks of agents and teachers."""
