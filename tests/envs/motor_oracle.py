"""Electric drives a second time, in plain NumPy, with other states in another frame: the tests' independent answer.

Three-phase machines are written in stator-fixed flux linkages, complex numbers alpha + j beta, so that voltages held at
the terminals are constants; currents follow from inductances at the present rotor angle. Energies and co-energies are
those of the coils. Nothing here is shared with the simulation but the names of parameters.

Letters: one drive, states `y` are float arrays ending in (omega [rad/s], epsilon [rad]) or, without angle, (omega,).
"""

import numpy as np
from scipy.integrate import solve_ivp

A = np.exp(2j * np.pi / 3)


def vector(a, b, c):
    """Amplitude-invariant space vector of three phases."""
    return 2 / 3 * (a + A * b + A**2 * c)


def phases_of(x):
    """Three phases without zero sequence."""
    return [np.real(x), np.real(x * A**2), np.real(x * A)]


class Machine:
    """`p`: parameters by name, SI units."""

    has_angle = True

    def __init__(self, p):
        self.p = p

    def rate(self, y, u):
        """dy/dt of the fluxes under terminal voltages `u` [V]; the last two entries are left to the load."""
        raise NotImplementedError


class Dc(Machine):
    has_angle = False

    def __init__(self, p, family):
        super().__init__(p)
        self.family = family

    def initial(self, start):
        names = {"ExtExDc": ("i_a", "i_e"), "ShuntDc": ("i_a", "i_e")}.get(self.family, ("i",))
        return [start.get(n, 0.0) for n in names]

    def rate(self, y, u):
        p, omega = self.p, y[-1]
        if self.family == "PermExDc":
            return [(u[0] - p["r_a"] * y[0] - p["psi_e"] * omega) / p["l_a"]]
        if self.family == "SeriesDc":
            drop = (p["r_a"] + p["r_e"]) * y[0] + p["l_e_prime"] * omega * y[0]
            return [(u[0] - drop) / (p["l_a"] + p["l_e"])]
        i_a, i_e = y[0], y[1]
        back = p["l_e_prime"] * omega * i_e
        return [(u[0] - p["r_a"] * i_a - back) / p["l_a"], (u[-1] - p["r_e"] * i_e) / p["l_e"]]

    def torque(self, y):
        p = self.p
        if self.family == "PermExDc":
            return p["psi_e"] * y[0]
        return p["l_e_prime"] * y[0] * (y[0] if self.family == "SeriesDc" else y[1])

    def terminal_currents(self, y):
        return [y[0] + y[1]] if self.family == "ShuntDc" else list(y[:-1])

    def losses(self, y):
        p = self.p
        if self.family == "PermExDc":
            return p["r_a"] * y[0] ** 2
        return p["r_a"] * y[0] ** 2 + p["r_e"] * y[0 if self.family == "SeriesDc" else 1] ** 2

    def energy(self, y):
        p = self.p
        if self.family == "PermExDc":
            return 0.5 * p["l_a"] * y[0] ** 2
        return 0.5 * (p["l_a"] * y[0] ** 2 + p["l_e"] * y[0 if self.family == "SeriesDc" else 1] ** 2)

    def report(self, y, u):
        names = ("i",) if len(y) == 2 else ("i_a", "i_e")
        voltages = {"u_a": u[0], "u_e": u[-1]} if self.family == "ExtExDc" else {"u": u[0]}
        return dict(zip(names, y, strict=False)) | voltages


class Synchronous(Machine):
    """Fluxes of stator and, if there is one, exciter; saliency by the inductances of two axes."""

    @property
    def excited(self):
        return "l_e" in self.p

    def initial(self, start):
        p, turn = self.p, np.exp(1j * start.get("epsilon", 0.0))
        i, i_e = start.get("i_sd", 0.0) + 1j * start.get("i_sq", 0.0), start.get("i_e", 0.0)
        psi = turn * (p["l_d"] * i.real + p.get("psi_p", 0.0) + p.get("l_m", 0.0) * i_e + 1j * p["l_q"] * i.imag)
        excited = [p["l_m"] * i.real + p["l_e"] * i_e] if self.excited else []
        return [psi.real, psi.imag, *excited]

    def currents(self, y):
        """(stator current in rotor coordinates, exciter current, flux in rotor coordinates)."""
        p, turn = self.p, np.exp(1j * y[-1])
        psi = (y[0] + 1j * y[1]) / turn
        if not self.excited:
            return (psi.real - p.get("psi_p", 0.0)) / p["l_d"] + 1j * psi.imag / p["l_q"], 0.0, psi
        i_d, i_e = np.linalg.solve([[p["l_d"], p["l_m"]], [p["l_m"], p["l_e"]]], [psi.real, y[2]])
        return i_d + 1j * psi.imag / p["l_q"], i_e, psi

    def rate(self, y, u):
        i, i_e, _ = self.currents(y)
        slope = vector(*u[:3]) - self.p["r_s"] * i * np.exp(1j * y[-1])
        return [slope.real, slope.imag, *([u[3] - self.p["r_e"] * i_e] if self.excited else [])]

    def torque(self, y):
        i, _, psi = self.currents(y)
        return 1.5 * self.p["p"] * np.imag(np.conj(psi) * i)

    def terminal_currents(self, y):
        i, i_e, _ = self.currents(y)
        return [*phases_of(i * np.exp(1j * y[-1])), *([i_e] if self.excited else [])]

    def power(self, u, currents):
        """Exciter quantities are referred to the stator: their power counts 3/2 like the vectors'."""
        return np.dot(u[:3], currents[:3]) + 1.5 * sum(np.multiply(u[3:], currents[3:]))

    def losses(self, y):
        i, i_e, _ = self.currents(y)
        return 1.5 * (self.p["r_s"] * abs(i) ** 2 + self.p.get("r_e", 0.0) * i_e**2)

    def energy(self, y):
        p, (i, i_e, _) = self.p, self.currents(y)
        exciter = 0.5 * p["l_e"] * i_e**2 + p["l_m"] * i.real * i_e if self.excited else 0.0
        return 1.5 * (0.5 * p["l_d"] * i.real**2 + 0.5 * p["l_q"] * i.imag**2 + exciter)

    def report(self, y, u):
        i, i_e, _ = self.currents(y)
        u_s = vector(*u[:3]) * np.exp(-1j * y[-1])
        named = dict(zip(("i_a", "i_b", "i_c"), self.terminal_currents(y), strict=False))
        named |= {"u_a": u[0], "u_b": u[1], "u_c": u[2], "i_sd": i.real, "i_sq": i.imag}
        named |= {"u_sd": u_s.real, "u_sq": u_s.imag}
        return named | ({"i_e": i_e, "u_e": u[3]} if self.excited else {})


class Induction(Machine):
    """Stator and rotor flux in stator coordinates, of coils joined by l_m."""

    def __init__(self, p, doubly_fed):
        super().__init__(p)
        self.doubly_fed = doubly_fed
        l_s, l_r = p["l_m"] + p["l_sigs"], p["l_m"] + p["l_sigr"]
        self.inductance = np.array([[l_s, p["l_m"]], [p["l_m"], l_r]])

    def initial(self, start):
        i_s = start.get("i_salpha", 0.0) + 1j * start.get("i_sbeta", 0.0)
        psi_r = start.get("psi_ralpha", 0.0) + 1j * start.get("psi_rbeta", 0.0)
        i_r = (psi_r - self.p["l_m"] * i_s) / self.inductance[1, 1]
        psi_s = self.inductance[0] @ [i_s, i_r]
        return [psi_s.real, psi_s.imag, psi_r.real, psi_r.imag]

    def currents(self, y):
        return np.linalg.solve(self.inductance, [y[0] + 1j * y[1], y[2] + 1j * y[3]])

    def rate(self, y, u):
        p, (i_s, i_r) = self.p, self.currents(y)
        rotor_voltage = vector(*u[3:]) * np.exp(1j * y[-1]) if self.doubly_fed else 0.0
        stator = vector(*u[:3]) - p["r_s"] * i_s
        rotor = rotor_voltage - p["r_r"] * i_r + 1j * p["p"] * y[-2] * (y[2] + 1j * y[3])
        return [stator.real, stator.imag, rotor.real, rotor.imag]

    def torque(self, y):
        return 1.5 * self.p["p"] * np.imag(np.conj(y[0] + 1j * y[1]) * self.currents(y)[0])

    def terminal_currents(self, y):
        i_s, i_r = self.currents(y)
        rotor = phases_of(i_r * np.exp(-1j * y[-1])) if self.doubly_fed else []
        return [*phases_of(i_s), *rotor]

    def losses(self, y):
        i_s, i_r = self.currents(y)
        return 1.5 * (self.p["r_s"] * abs(i_s) ** 2 + self.p["r_r"] * abs(i_r) ** 2)

    def energy(self, y):
        i = self.currents(y)
        return 0.75 * np.real(np.conj(i) @ self.inductance @ i)

    def report(self, y, u):
        i_s, i_r = self.currents(y)
        flux = y[2] + 1j * y[3]
        field = flux / abs(flux) if abs(flux) > 0 else 1.0
        vectors = {"i_s": (i_s, i_s), "u_s": (vector(*u[:3]), vector(*u[:3]))}
        if self.doubly_fed:
            turn = np.exp(1j * y[-1])
            vectors |= {"i_r": (i_r / turn, i_r), "u_r": (vector(*u[3:]), vector(*u[3:]) * turn)}
        named = {}
        for name, (own, fixed) in vectors.items():
            named |= dict(zip((f"{name}{axis}" for axis in "abc"), phases_of(own), strict=True))
            dq = fixed / field
            named |= {f"{name}d": dq.real, f"{name}q": dq.imag}
        for name, value in zip(("u_sa", "u_sb", "u_sc", "u_ra", "u_rb", "u_rc"), u, strict=False):
            named[name] = value  # with its zero sequence
        return named


class SixPhase(Machine):
    """Two planes of stator-fixed fluxes; the magnets' and the torque are in the first."""

    def initial(self, start):
        p, turn = self.p, np.exp(1j * start.get("epsilon", 0.0))
        i = {axis: start.get(f"i_s{axis}", 0.0) for axis in "dqxy"}
        main = turn * (p["l_d"] * i["d"] + p["psi_PM"] + 1j * p["l_q"] * i["q"])
        other = (p["l_x"] * i["x"] + 1j * p["l_y"] * i["y"]) / turn
        return [main.real, main.imag, other.real, other.imag]

    def currents(self, y):
        p, turn = self.p, np.exp(1j * y[-1])
        psi, other = (y[0] + 1j * y[1]) / turn, (y[2] + 1j * y[3]) * turn
        i = (psi.real - p["psi_PM"]) / p["l_d"] + 1j * psi.imag / p["l_q"]
        return i, other.real / p["l_x"] + 1j * other.imag / p["l_y"]

    def rate(self, y, u):
        i, other = self.currents(y)
        turn = np.exp(1j * y[-1])
        u_main, u_other = spec_planes(u)
        main = u_main - self.p["r_s"] * i * turn
        rest = u_other - self.p["r_s"] * other / turn
        return [main.real, main.imag, rest.real, rest.imag]

    def torque(self, y):
        """Of both planes: the second turns backward, and its inductances differ, too."""
        i, other = self.currents(y)
        turn = np.exp(1j * y[-1])
        main = np.imag(np.conj(y[0] + 1j * y[1]) * i * turn)
        rest = np.imag(np.conj(y[2] + 1j * y[3]) * other / turn)
        return 3.0 * self.p["p"] * (main - rest)

    def terminal_currents(self, y):
        i, other = self.currents(y)
        turn = np.exp(1j * y[-1])
        return list(SIX_INVERSE @ np.array([*pair(i * turn), *pair(other / turn)]))

    def losses(self, y):
        i, other = self.currents(y)
        return 3.0 * self.p["r_s"] * (abs(i) ** 2 + abs(other) ** 2)

    def energy(self, y):
        p, (i, other) = self.p, self.currents(y)
        main = p["l_d"] * i.real**2 + p["l_q"] * i.imag**2
        return 1.5 * (main + p["l_x"] * other.real**2 + p["l_y"] * other.imag**2)

    def report(self, y, u):
        i, other = self.currents(y)
        turn = np.exp(1j * y[-1])
        u_main, u_other = spec_planes(u)
        u_main, u_other = u_main / turn, u_other * turn
        names = [f"{phase}{winding}" for winding in "12" for phase in "abc"]
        named = {f"i_{n}": v for n, v in zip(names, self.terminal_currents(y), strict=True)}
        named |= {f"u_{n}": v for n, v in zip(names, u, strict=True)}
        for kind, main, rest in (("i", i, other), ("u", u_main, u_other)):
            named |= {f"{kind}_sd": main.real, f"{kind}_sq": main.imag}
            named |= {f"{kind}_sx": rest.real, f"{kind}_sy": rest.imag}
        return named


S = np.sqrt(3) / 2
# Rows alpha, beta, X, Y, and the zero sequences of both windings.
SIX_MATRIX = (
    np.array(
        [
            [1, -0.5, -0.5, S, -S, 0],
            [0, S, -S, 0.5, 0.5, -1],
            [1, -0.5, -0.5, -S, S, 0],
            [0, -S, S, 0.5, 0.5, -1],
            [1, 1, 1, 0, 0, 0],
            [0, 0, 0, 1, 1, 1],
        ]
    )
    / 3
)
SIX_INVERSE = np.linalg.inv(SIX_MATRIX)[:, :4]


def spec_planes(phases):
    alpha, beta, x, y = SIX_MATRIX[:4] @ np.asarray(phases)
    return alpha + 1j * beta, x + 1j * y


def pair(z):
    return z.real, z.imag


def make_machine(family, parameters):
    """The second implementation of a family."""
    if family.endswith("Dc"):
        return Dc(parameters, family)
    if family in ("SCIM", "DFIM"):
        return Induction(parameters, family == "DFIM")
    return SixPhase(parameters) if family == "SIXPMSM" else Synchronous(parameters)


def power(machine, u, currents):
    """Electrical power [W] into the terminals."""
    return machine.power(u, currents) if hasattr(machine, "power") else np.dot(u, currents)


def advance(machine, load, y, u, duration):
    """`y` after `duration` [s] under held terminal voltages, by DOP853 at 1e-12.

    Args:
      load: function (omega, torque) -> d omega/dt.
    """

    def rate(t, y):
        place = -2 if machine.has_angle else -1
        slopes = [*machine.rate(y, u), load(y[place], machine.torque(y))]
        return [*slopes, machine.p["p"] * y[-2]] if machine.has_angle else slopes

    if duration <= 0:
        return y
    return solve_ivp(rate, (0.0, duration), y, "DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
