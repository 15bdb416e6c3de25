"""Compiling a family's code the way it runs best on the platform at hand."""

import functools
import warnings
from collections.abc import Callable
from typing import Any

import jax

from .contract import TaskEnv


def compile_for(env: TaskEnv, function: Callable[..., Any], **jit_options: Any) -> Any:
    """`jax.jit(function)` under the compiler options `env` asks for on the default platform.

    Options that this jaxlib does not know cost speed, not correctness: they are dropped with a warning.
    """
    options = options_for(env)
    if options:
        jit_options["compiler_options"] = options
    return jax.jit(function, **jit_options)


def options_for(env: TaskEnv) -> dict[str, str | bool]:
    """The XLA options of `env` on the default platform that the installed jaxlib accepts."""
    options = env.compiler_options.get(jax.default_backend(), {})
    return dict(options) if _accepted(tuple(sorted(options.items()))) else {}


@functools.cache
def _accepted(options: tuple[tuple[str, str | bool], ...]) -> bool:
    if not options:
        return False
    try:
        jax.jit(lambda x: x + 1, compiler_options=dict(options)).lower(0.0).compile()
    except Exception as error:  # jaxlib has no narrower type for an unknown option
        warnings.warn(f"compiler options {dict(options)} are not accepted, running without: {error}", stacklevel=3)
        return False
    return True
