"""Data of several behaviours, by shares of transitions."""

from collections.abc import Callable, Iterator, Mapping

from .device_episodes import episode_seed
from .episodes import Episode, take_steps

SHARES: Mapping[str, Mapping[str, float]] = {
    "medium-expert": {"medium": 0.5, "expert": 0.5},
    "mixed": {"random": 0.4, "medium": 0.4, "expert": 0.2},
}


def shares_of(quality: str) -> dict[str, float]:
    """{what acts: share of transitions} of a quality; one that is no mixture is all of itself."""
    return dict(SHARES.get(quality, {quality: 1.0}))


def mixture(
    shares: Mapping[str, float], steps: int, seed: int, episodes: Callable[[str, int], Iterator[Episode]]
) -> Iterator[Episode]:
    """Each part whole before the next, with seeds of its own; rounding goes to the last.

    Args:
      steps: transitions in all.
      episodes: (what acts, seed) -> episodes without end.
    """
    left = steps
    for part, (quality, share) in enumerate(shares.items()):
        count = left if part == len(shares) - 1 else min(round(share * steps), left)
        left -= count
        if count:
            own = seed if len(shares) == 1 else episode_seed(seed, part)
            yield from take_steps(episodes(quality, own), count)
