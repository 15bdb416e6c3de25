"""A ball pushed through mazes to a goal: gymnasium-robotics' PointMaze with its physics and distances as the task."""
