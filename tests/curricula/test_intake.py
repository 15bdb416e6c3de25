import jax
import jax.numpy as jnp
import numpy as np
import pytest
from palaestra.curricula.intake import fold_rows


@pytest.mark.parametrize("valid", [[], [0], [9], [1, 2, 3, 4, 8], range(10)])
@pytest.mark.parametrize("chunk", [1, 3, 64])
def test_rows_are_visited_once_and_in_order(valid, chunk):
    mask = np.zeros(10, bool)
    mask[list(valid)] = True

    def absorb(carry, rows, fresh):
        seen, count = carry
        for i in range(rows.shape[0]):
            seen = jnp.where((jnp.arange(10) == count) & (i < fresh), rows[i], seen)
            count = count + (i < fresh).astype(jnp.int32)
        return seen, count

    start = (jnp.full((10,), -1, jnp.int32), jnp.zeros((), jnp.int32))
    seen, count = jax.jit(lambda m: fold_rows(absorb, start, m, chunk))(jnp.asarray(mask))
    assert int(count) == mask.sum()
    np.testing.assert_array_equal(seen[: int(count)], np.flatnonzero(mask))


def test_no_rows_at_all_change_nothing():
    assert fold_rows(None, "as it was", jnp.zeros((0,), bool), 8) == "as it was"
