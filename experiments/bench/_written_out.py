"""The high-UTD update of SAC, REDQ, RLPD, CQL, Cal-QL and WSRL, written out plainly: what ours is tested against.

As the reference code of WSRL does it, and nothing of ours is used: one dictionary of arrays; every critic and every
target critic is evaluated before some are chosen; one optimiser covers all parameters and is stepped at every call,
with gradients of zero for networks whose loss is off; the multiplier of CQL's penalty computes the penalty again.

Keys are split, and numbers drawn in shapes, as `agents/off_policy/sac.py` does it, so that the same key means the same
actions and the same critics in both. Two orders: critics first and then the actor, which climbs critics that have taken
the step, as ours does; or all losses in one call from the parameters before it (`at_once`), as the reference code does
it where there is one critic step to an update.

Letters: E critics, M of them drawn, U critic steps of an update, B transitions of each, n actions drawn per state,
O observation, A action, F features.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

Arrays = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Settings:
    """What `SAC` and its parts call otherwise; see there."""

    num_critics: int
    target_members: int
    draw_repeats: bool
    utd: int
    actor_on_all: bool
    climbs_least: bool
    soft_target: bool
    target_draws: int
    entropy_at_next: bool
    discount: float
    target_rate: float
    entropy_per_action: float
    actor_rate: float
    critic_rate: float
    temperature_rate: float
    penalized: int = 0  # critics that CQL's penalty looks at; 0 for no penalty
    penalty_draws: int = 10
    calibrated: bool = False
    importance: bool = True
    weight: float = 5.0
    gap: float | None = None
    weight_rate: float = 3e-4
    at_once: bool = False


class State(NamedTuple):
    """Parameters "network/name" of all networks, the target critics' and the optimiser's moments."""

    params: Arrays
    target: Arrays
    mean: Arrays
    square: Arrays
    steps: jax.Array  # () int32, of the optimiser


def settings_of(learner: Any, at_once: bool = False) -> Settings:
    """The settings of an agents.off_policy.sac.SAC."""
    hyper, penalty = learner.hyper, learner.conservative
    extra: dict[str, Any] = {}
    if penalty is not None:
        extra = {
            "penalized": learner.num_critics if penalty.members is None else penalty.members,
            "penalty_draws": penalty.draws,
            "calibrated": penalty.calibrated,
            "importance": penalty.importance,
            "weight": penalty.weight,
            "gap": penalty.gap,
            "weight_rate": penalty.rate,
        }
    return Settings(
        num_critics=learner.num_critics,
        target_members=learner.target_members,
        draw_repeats=learner.draw_repeats,
        utd=learner.utd,
        actor_on_all=learner.actor_batch == "all",
        climbs_least=learner.actor_value == "min",
        soft_target=learner.soft_target,
        target_draws=learner.target_draws,
        entropy_at_next=learner.entropy_at == "next_obs",
        discount=float(hyper.discount),
        target_rate=float(hyper.target_rate),
        entropy_per_action=float(hyper.target_entropy),
        actor_rate=float(hyper.actor_rate),
        critic_rate=float(hyper.critic_rate),
        temperature_rate=float(hyper.temperature_rate),
        at_once=at_once,
        **extra,
    )


def start_of(learned: Any) -> State:
    """The state of an agents.off_policy.contract.Learned whose optimisers have not taken a step."""
    params = flat_params(learned.params)
    zeros = jax.tree.map(jnp.zeros_like, params)
    target = flat_params({"critic": learned.target_params["critic"]})
    return State(params, target, zeros, jax.tree.map(jnp.zeros_like, params), jnp.zeros((), jnp.int32))


def flat_params(params: Any) -> Arrays:
    """Parameters of ours, or trees of the same form, as a dictionary of one level."""
    flat: Arrays = {}
    for name, tree in params.items():
        if name in ("temperature", "weight"):
            flat[name] = jnp.asarray(tree, jnp.float32)
        else:
            flat |= {f"{name}/{k}": v for k, v in (_flat_critic if name == "critic" else _flat_actor)(tree).items()}
    return flat


def _flat_critic(tree: Any) -> Arrays:
    own = tree["params"]
    flat: Arrays = {}
    for name, array in own.items():
        kind, _, rest = name.partition("_")
        number, _, part = rest.partition("_")
        if kind == "out":
            flat["bias_out" if rest else "kernel_out"] = array
        else:
            flat[f"{part or 'kernel'}_{number}"] = array
    return flat


def _flat_actor(tree: Any) -> Arrays:
    own = tree["params"]
    flat: Arrays = {}
    for name, layer in own["Trunk_0"].items():
        kind, number = name.split("_")
        named = ("kernel", "bias") if kind == "Dense" else ("scale", "bias")
        shown = ("kernel", "bias") if kind == "Dense" else ("scale", "shift")
        flat |= {f"{show}_{number}": layer[part] for part, show in zip(named, shown, strict=True)}
    flat |= {"kernel_mean": own["mean"]["kernel"], "bias_mean": own["mean"]["bias"]}
    if isinstance(own["log_std"], dict):
        return flat | {"kernel_std": own["log_std"]["kernel"], "bias_std": own["log_std"]["bias"]}
    return flat | {"log_std": own["log_std"]}


def hidden_layers(own: Arrays, x: jax.Array) -> jax.Array:
    """Dense, layer normalisation where there is one, ReLU; x (B, F)."""
    layer = 0
    while f"kernel_{layer}" in own:
        x = x @ own[f"kernel_{layer}"] + own[f"bias_{layer}"][None]
        if f"scale_{layer}" in own:
            centred = x - jnp.mean(x, -1, keepdims=True)
            x = centred / jnp.sqrt(jnp.var(x, -1, keepdims=True) + 1e-6)
            x = x * own[f"scale_{layer}"][None] + own[f"shift_{layer}"][None]
        x = jnp.maximum(x, 0.0)
        layer += 1
    return x


def critic_values(params: Arrays, obs: jax.Array, action: jax.Array) -> jax.Array:
    """Values (E, B) of all critics."""

    def one(own: Arrays) -> jax.Array:
        features = hidden_layers(own, jnp.concatenate([obs, action], -1))
        return (features @ own["kernel_out"] + own["bias_out"][None])[:, 0]

    return jax.vmap(one)(_of(params, "critic"))


def draw_actions(params: Arrays, obs: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Actions (..., A) of the policy at observations (..., O), and their log-densities (...)."""
    own, lead = _of(params, "actor"), obs.shape[:-1]
    features = hidden_layers(own, obs.reshape(-1, obs.shape[-1]))
    mean = features @ own["kernel_mean"] + own["bias_mean"][None]
    if "log_std" in own:
        log_std = jnp.broadcast_to(own["log_std"], mean.shape)
    else:
        log_std = features @ own["kernel_std"] + own["bias_std"][None]
    std = jnp.clip(jnp.exp(log_std), 1e-5, 10.0)
    noise = jax.random.normal(key, (*lead, mean.shape[-1])).reshape(mean.shape)
    before = mean + std * noise
    log_normal = -0.5 * noise**2 - jnp.log(std) - 0.5 * math.log(2.0 * math.pi)
    log_slope = 2.0 * (math.log(2.0) - before - jax.nn.softplus(-2.0 * before))
    log_prob = jnp.sum(log_normal - log_slope, -1)
    return jnp.tanh(before).reshape(*lead, -1), log_prob.reshape(lead)


def draw_members(settings: Settings, key: jax.Array, count: int) -> jax.Array:
    """Indices (count,) of critics."""
    if settings.draw_repeats:
        return jax.random.randint(key, (count,), 0, settings.num_critics)
    return jax.random.permutation(key, settings.num_critics)[:count]


def target_values(settings: Settings, state: State, batch: Any, key: jax.Array) -> jax.Array:
    """What critics regress on, (B,)."""
    key_action, key_members = jax.random.split(key)
    size, count = batch.reward.shape[0], settings.target_draws
    next_obs = jnp.repeat(batch.next_obs, count, 0)
    action, log_prob = draw_actions(state.params, next_obs, key_action)
    everyone = critic_values(state.target, next_obs, action)
    least = jnp.min(everyone[draw_members(settings, key_members, settings.target_members)], 0).reshape(size, count)
    best = jnp.argmax(least, -1)
    value = jnp.take_along_axis(least, best[:, None], -1)[:, 0]
    if settings.soft_target:
        log_prob = jnp.take_along_axis(log_prob.reshape(size, count), best[:, None], -1)[:, 0]
        value = value - jax.nn.softplus(state.params["temperature"]) * log_prob
    target: jax.Array = batch.reward + settings.discount * batch.mask * value
    return target


def penalty(settings: Settings, params: Arrays, batch: Any, key: jax.Array) -> jax.Array:
    """CQL's penalty of critics; no gradient goes through the actions."""
    key_members, key_even, key_obs, key_next = jax.random.split(key, 4)
    size, dims = batch.action.shape
    count = settings.penalty_draws
    even = jax.random.uniform(key_even, (size, count, dims), minval=-1.0, maxval=1.0)
    actions, densities = [even], [jnp.full((size, count), dims * math.log(0.5))]
    for key, obs in ((key_obs, batch.obs), (key_next, batch.next_obs)):
        repeated = jnp.repeat(obs[:, None], count, 1)
        action, log_prob = draw_actions(jax.lax.stop_gradient(params), repeated, key)
        actions.append(action)
        densities.append(log_prob)
    drawn = [
        critic_values(params, jnp.repeat(batch.obs, count, 0), action.reshape(-1, dims)).reshape(-1, size, count)
        for action in actions
    ]
    if settings.calibrated:
        bound = jnp.broadcast_to(batch.return_to_go[None, :, None], drawn[0].shape)
        drawn[1:] = [jnp.maximum(values, bound) for values in drawn[1:]]
    everyone, data = jnp.concatenate(drawn, -1), critic_values(params, batch.obs, batch.action)
    members = draw_members(settings, key_members, settings.penalized)
    everyone, data = everyone[members], data[members]
    if settings.importance:
        everyone = everyone - jnp.concatenate(densities, -1)[None]
    else:
        everyone = jnp.concatenate([everyone, data[..., None]], -1)
        everyone = everyone - math.log(everyone.shape[-1])
    top = jax.lax.stop_gradient(jnp.max(everyone, -1, keepdims=True))
    soft = jnp.log(jnp.sum(jnp.exp(everyone - top), -1)) + top[..., 0]
    return jnp.mean(soft - data)


def critic_call(settings: Settings, state: State, batch: Any, key: jax.Array) -> tuple[State, dict[str, Any]]:
    """One call with the losses of critics and, where it is adjusted, of the penalty's weight."""
    losses = critic_losses(settings, state, batch, key)
    return call(settings, state, losses)


def actor_call(settings: Settings, state: State, batch: Any, key: jax.Array) -> tuple[State, dict[str, Any]]:
    """One call with the losses of actor and temperature."""
    return call(settings, state, actor_losses(settings, state, batch, key))


def update(settings: Settings, state: State, batch: Any, key: jax.Array) -> tuple[State, dict[str, Any]]:
    """U critic steps on B transitions each, then one of actor and temperature; or everything in one call."""
    key_critic, key_actor = jax.random.split(key)
    parts = jax.tree.map(lambda x: x.reshape(settings.utd, -1, *x.shape[1:]), batch)
    keys = jax.random.split(key_critic, settings.utd)
    if settings.at_once:
        losses = critic_losses(settings, state, batch, keys[0]) | actor_losses(settings, state, batch, key_actor)
        return call(settings, state, losses)
    state, reports = jax.lax.scan(lambda s, x: critic_call(settings, s, x[1], x[0]), state, (keys, parts))
    last = jax.tree.map(lambda x: x[-1], parts)
    state, own = actor_call(settings, state, batch if settings.actor_on_all else last, key_actor)
    means = {name: jnp.mean(x, 0) for name, x in reports.items() if name != "gradients"}
    return state, means | own


Loss = Callable[[Arrays], tuple[jax.Array, dict[str, jax.Array]]]


def critic_losses(settings: Settings, state: State, batch: Any, key: jax.Array) -> dict[str, Loss]:
    """{network: loss of all parameters} of a critic step."""
    key_target, key_penalty = jax.random.split(key)

    def critic(params: Arrays) -> tuple[jax.Array, dict[str, jax.Array]]:
        target = target_values(settings, state, batch, key_target)
        values = critic_values(params, batch.obs, batch.action)
        td = jnp.mean((values - target[None]) ** 2)
        report = {"target": target, "td": td}
        if not settings.penalized:
            return td, report
        gap = penalty(settings, params, batch, key_penalty)
        weight = jnp.asarray(settings.weight) if settings.gap is None else jax.nn.softplus(state.params["weight"])
        return td + weight * gap, report | {"penalty": gap}

    def weight(params: Arrays) -> tuple[jax.Array, dict[str, jax.Array]]:
        assert settings.gap is not None
        again = penalty(settings, state.params, batch, key_penalty)
        return -jax.nn.softplus(params["weight"]) * (again - settings.gap), {}

    return {"critic": critic} if settings.gap is None else {"critic": critic, "weight": weight}


def actor_losses(settings: Settings, state: State, batch: Any, key: jax.Array) -> dict[str, Loss]:
    """{network: loss of all parameters} of an actor step."""
    key_actor, key_entropy = jax.random.split(key)

    def actor(params: Arrays) -> tuple[jax.Array, dict[str, jax.Array]]:
        action, log_prob = draw_actions(params, batch.obs, key_actor)
        values = critic_values(state.params, batch.obs, action)
        value = jnp.min(values, 0) if settings.climbs_least else jnp.mean(values, 0)
        loss = jnp.mean(jax.nn.softplus(state.params["temperature"]) * log_prob - value)
        return loss, {"actor_loss": loss}

    def temperature(params: Arrays) -> tuple[jax.Array, dict[str, jax.Array]]:
        where = (batch.next_obs, key_entropy) if settings.entropy_at_next else (batch.obs, key_actor)
        entropy = -jnp.mean(draw_actions(state.params, *where)[1])
        wanted = settings.entropy_per_action * batch.action.shape[-1]
        loss = jax.nn.softplus(params["temperature"]) * (entropy - wanted)
        return loss, {"entropy": entropy, "temperature_loss": loss}

    return {"actor": actor, "temperature": temperature}


def call(settings: Settings, state: State, losses: dict[str, Loss]) -> tuple[State, dict[str, Any]]:
    """One step of the optimiser over all parameters; those without a loss have gradients of zero."""
    gradients: Arrays = jax.tree.map(jnp.zeros_like, state.params)
    report: dict[str, Any] = {}
    for name, loss in losses.items():
        own = {key: value for key, value in state.params.items() if _network(key) == name}
        slope, about = jax.grad(lambda own, loss=loss: loss(state.params | own), has_aux=True)(own)
        gradients, report = gradients | slope, report | about
    after = adam(settings, state, gradients)
    if "critic" in losses:
        rate = settings.target_rate
        moved = {key: rate * after.params[key] + (1.0 - rate) * old for key, old in state.target.items()}
        after = after._replace(target=moved)
    return after, report | {"gradients": gradients}


def adam(settings: Settings, state: State, gradients: Arrays) -> State:
    """Kingma and Ba 2015, algorithm 1, with a rate for every network."""
    rates = {
        "actor": settings.actor_rate,
        "critic": settings.critic_rate,
        "temperature": settings.temperature_rate,
        "weight": settings.weight_rate,
    }
    number = state.steps + 1
    steps = number.astype(jnp.float32)
    params: Arrays = {}
    mean: Arrays = {}
    square: Arrays = {}
    for key, gradient in gradients.items():
        mean[key] = 0.9 * state.mean[key] + 0.1 * gradient
        square[key] = 0.999 * state.square[key] + 0.001 * gradient**2
        first, second = mean[key] / (1.0 - 0.9**steps), square[key] / (1.0 - 0.999**steps)
        params[key] = state.params[key] - rates[_network(key)] * first / (jnp.sqrt(second) + 1e-8)
    return State(params, state.target, mean, square, number)


def _network(key: str) -> str:
    return key.partition("/")[0]


def _of(params: Arrays, network: str) -> Arrays:
    return {key.partition("/")[2]: value for key, value in params.items() if _network(key) == network}
