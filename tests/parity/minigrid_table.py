"""Prints where the minigrid package and ours differ, as a Markdown table: `python -m tests.parity.minigrid_table`.

Per family: every id's 2,000 random steps and 12 whole episodes of which plans solve about half, as in the slow tests of
`test_minigrid_package.py`.
"""

import collections

import jax
from palaestra.envs.minigrid.ids import FAMILIES

from .minigrid_mixed import mixed_play
from .minigrid_play import LIMIT, differences_after_all, play, random_policy, replay

COLUMNS = ("ids", "random steps", "other steps", "episodes", "solved", "differences")


def family_row(names):
    """{column: number} of one family."""
    row = collections.Counter(ids=len(names))
    for name in names:
        random, mixed = play(name, random_policy, LIMIT, steps=2000), mixed_play(name, count=12)
        row["random steps"] += random.steps
        row["other steps"] += mixed.steps
        row["episodes"] += len(mixed.seeds)
        row["solved"] += mixed.successes
        for episodes in (random, mixed):
            row["differences"] += sum(differences_after_all(episodes).values())
    return row


def main():
    print("| family | " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * (len(COLUMNS) + 1))
    total = collections.Counter()
    for family in FAMILIES:
        names = [name for name in family.names if "-WFC-" not in name]
        if names:
            row = family_row(names)
            replay.cache_clear()  # compiled programs: too many of them use up the memory maps of a process
            jax.clear_caches()
            total += row
            print(f"| {family.page} | " + " | ".join(f"{row[column]:,}" for column in COLUMNS) + " |", flush=True)
    print("| all | " + " | ".join(f"{total[column]:,}" for column in COLUMNS) + " |", flush=True)


if __name__ == "__main__":
    main()
