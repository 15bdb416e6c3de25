"""Prints how far every drive is from gym-electric-motor, as a Markdown table: `python -m tests.parity.motors_table`.

Every entry is the largest difference over the 2000 random steps (the unstable externally excited machine: 300) of
`test_motors_gem.py`, normalised: quantities as shares of their limits, angles as shares of pi.
"""

import jax
from palaestra.envs.motors.families import motor_ids

from .gem_capture import gem_id
from .gem_comparison import compare

GROUPS = {
    "speed": ("omega",),
    "torque": ("torque",),
    "currents": ("i",),
    "voltages": ("u",),
    "angle": ("epsilon",),
}


def group_errors(errors):
    """{group: largest error} of {quantity: error}; groups without a quantity are left out."""
    members = {
        group: [error for name, error in errors.items() if name.startswith(starts)] for group, starts in GROUPS.items()
    }
    return {group: max(found) for group, found in members.items() if found}


def rows():
    """(id, {group: largest error}, largest reward error) of all sixty ids."""
    with jax.enable_x64(True):
        for family, action, task in motor_ids():
            found = compare(family, action, task)
            yield gem_id(family, action, task), group_errors(found.errors), found.reward_error


def main():
    print("| id | " + " | ".join(GROUPS) + " | reward |")
    print("|" + "---|" * (len(GROUPS) + 2))
    for name, groups, reward in rows():
        numbers = [f"{groups[g]:.1e}" if g in groups else "" for g in GROUPS]
        print(f"| `{name}` | " + " | ".join(numbers) + f" | {reward:.1e} |", flush=True)


if __name__ == "__main__":
    main()
