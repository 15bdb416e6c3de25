"""Electric drives: machine, converter, supply, load and reference as one pure step; see `env.Motor`."""
