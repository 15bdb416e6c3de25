"""Running statistics equal the statistics of everything seen."""

import jax
import jax.numpy as jnp
import numpy as np
from palaestra.agents.normalization import CLIP, init_stats, merge, normalize, rescale


def test_merging_batches_equals_the_statistics_of_their_union():
    data = np.random.default_rng(0).normal(5.0, 3.0, (7, 11, 4)).astype(np.float32)
    stats = init_stats((4,))
    for batch in data:
        stats = merge(stats, jnp.asarray(batch))
    np.testing.assert_allclose(stats.mean, data.reshape(-1, 4).mean(0), rtol=1e-5)
    np.testing.assert_allclose(stats.var, data.reshape(-1, 4).var(0), rtol=1e-4)
    assert stats.count == 77


def test_devices_agree_with_one_device():
    data = jnp.asarray(np.random.default_rng(1).normal(size=(2, 8, 3)).astype(np.float32))
    alone = merge(init_stats((3,)), data)
    together = jax.vmap(lambda x: merge(init_stats((3,)), x, "devices"), axis_name="devices")(data)
    np.testing.assert_allclose(together.mean[0], alone.mean, rtol=1e-5)
    np.testing.assert_allclose(together.var[1], alone.var, rtol=1e-5)


def test_statistics_of_nothing_leave_values_alone_and_clip_outliers():
    stats = init_stats((2,))
    values = jnp.array([[0.5, -2.0], [100.0, -100.0]])
    np.testing.assert_allclose(normalize(stats, values), [[0.5, -2.0], [CLIP, -CLIP]], rtol=1e-6)
    np.testing.assert_allclose(rescale(init_stats(()), jnp.array([-3.0, 3.0])), [-3.0, 3.0], rtol=1e-6)
