"""Closed formulas that tune proportional-integral controllers.

Source: W. Leonhard, "Control of Electrical Drives"; magnitude optimum and symmetrical optimum.
"""

import dataclasses

Matrix = tuple[tuple[float, ...], ...]
FAST, DAMPED = 2.0, 4.0  # spreads of the symmetrical optimum


@dataclasses.dataclass(frozen=True)
class Gains:
    """`u = proportional e + integral (sum of tau e)`, per axis; the proportional part may couple axes."""

    proportional: Matrix
    integral: tuple[float, ...]


def delay(tau: float, dead_time: int) -> float:
    """[s] `T_sigma`: the half period of the hold and the dead time, at least one period."""
    return max(tau, (0.5 + dead_time) * tau)


def magnitude_optimum(inductance: Matrix, resistance: tuple[float, ...], t_sigma: float) -> Gains:
    """`K_p = L / (2 T_sigma)`, `K_i = R / (2 T_sigma)`: the zero cancels the winding's time constant."""
    return Gains(
        proportional=tuple(tuple(entry / (2 * t_sigma) for entry in row) for row in inductance),
        integral=tuple(r / (2 * t_sigma) for r in resistance),
    )


def symmetrical_optimum(inductance: Matrix, tau: float, spread: float = DAMPED) -> Gains:
    """`K_p = L / (a tau)`, `K_i = K_p / (a^2 tau)` with spread `a`: for windings that hardly decay in the time."""
    proportional = tuple(tuple(entry / (spread * tau) for entry in row) for row in inductance)
    own = (proportional[i][i] for i in range(len(proportional)))
    return Gains(proportional=proportional, integral=tuple(k / (spread * spread * tau) for k in own))


def speed_gains(inertia: float, t_e: float, spread: float = FAST) -> tuple[float, float]:
    """(K_p [N m s/rad], K_i [N m/rad]) by the symmetrical optimum.

    `K_p = J / (a T_e)`, `K_i = K_p / (a^2 T_e)`.

    Args:
      inertia: [kg m^2] rotor and load.
      t_e: [s] of the closed torque loop and the measurement's filter.
      spread: `a`, 2 fast to 4 damped.
    """
    proportional = inertia / (spread * t_e)
    return proportional, proportional / (spread * spread * t_e)
