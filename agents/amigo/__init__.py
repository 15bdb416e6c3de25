"""AMIGo: a teacher network that sets goals for PPO's policy, each a cell of the grid whose content is to change."""
