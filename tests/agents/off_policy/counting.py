"""A learner that learns nothing but counts: when it is updated, with what, and which of its parts are kept."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import struct
from palaestra.agents.distributions import Normal
from palaestra.agents.off_policy.contract import Learned

OLD = 100.0  # in the observations of offline data


class Hyper(struct.PyTreeNode):
    discount: jax.Array | float = 0.9


@dataclasses.dataclass(frozen=True)
class Counting:
    """Every part is the number of updates it has seen; metrics say how much of each batch was offline data.

    Attributes:
      needs_returns: as a calibrated learner.
    """

    utd: int = 2
    batch_size: int = 2
    needs_returns: bool = False

    @property
    def rows(self):
        return self.utd * self.batch_size

    def init(self, key, obs_size, action_size):
        parts = {name: jnp.zeros(()) for name in ("actor", "critic", "temperature")}
        shape = jnp.zeros((obs_size, action_size))
        return Learned(
            params=parts | {"shape": shape}, target_params={}, opt_state=dict(parts), hyper=Hyper(jnp.float32(0.9))
        )

    def policy(self, learned, obs):
        action = jnp.broadcast_to(obs[..., :1], (*obs.shape[:-1], learned.params["shape"].shape[1]))
        return Normal(mean=0.1 * action, log_std=jnp.zeros_like(action))

    def update(self, key, learned, batch):
        more = lambda parts: {name: x + 1.0 for name, x in parts.items()}  # noqa: E731
        learned = learned.replace(params=more(learned.params), opt_state=more(learned.opt_state))
        old = (batch.obs[:, 0] == OLD).astype(jnp.float32).reshape(self.utd, self.batch_size)
        return learned, {"train/old": jnp.mean(old), "train/least_old": jnp.min(jnp.mean(old, 1))}
