"""The weighted sum of errors.

Source: gym-electric-motor 3.0.3, `weighted_sum_of_errors.py`; the violation's reward is what the worst error would cost
for ever at `discount`.

Letters: S measured quantities, R references, C limits.
"""

import dataclasses

import jax
import jax.numpy as jnp

DISCOUNT = 0.9  # of the original's environments, for the violation's reward


@dataclasses.dataclass(frozen=True)
class Reward:
    """`(1 - d) (offset - sum_i weight_i (|s_i - s_i*| / width_i)^power_i) + d violation`, d the limits' violation.

    Attributes:
      indices: (R,) positions of the referenced quantities.
      widths: (R,) of their normalised ranges.
      weights, powers: (R,).
      offset: added to every step; "positive" rewards in the original use the sum of the weights.
      discount: for the violation's reward.
      product: combine several limits' degrees d_i as 1 - prod(1 - d_i) instead of their maximum.
    """

    indices: tuple[int, ...]
    widths: tuple[float, ...]
    weights: tuple[float, ...]
    powers: tuple[float, ...]
    offset: float = 0.0
    discount: float = DISCOUNT
    product: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.discount < 1:
            raise ValueError(f"reward discount={self.discount}; expected a number in [0, 1)")
        if not len(self.indices) == len(self.weights) == len(self.powers):
            raise ValueError(
                f"{len(self.weights)} reward weights and {len(self.powers)} powers; expected {len(self.indices)}, one "
                "per referenced quantity"
            )

    @property
    def violation(self) -> float:
        """Reward of a step that ends in a violation."""
        return min((self.offset - sum(self.weights)) / (1 - self.discount), 0.0)

    def __call__(self, measured: jax.Array, reference: jax.Array, degrees: jax.Array) -> jax.Array:
        """The reward ().

        Args:
          measured: (S,) normalised, after the step.
          reference: (R,) shown before the step.
          degrees: (C,) of violation.
        """
        total: jax.Array | float = self.offset
        for i, (index, width, weight, power) in enumerate(
            zip(self.indices, self.widths, self.weights, self.powers, strict=True)
        ):
            error = jnp.abs(measured[index] - reference[i]) / width
            total = total - weight * (error if power == 1.0 else error**power)
        degree = 1 - jnp.prod(1 - degrees) if self.product else jnp.max(degrees)
        return (1 - degree) * total + degree * self.violation
