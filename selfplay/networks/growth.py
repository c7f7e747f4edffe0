"""Grows weights into a larger network that computes the same function. Pure.

After Chen et al., "Net2Net: accelerating learning via knowledge transfer", 2016, section 2. There
a new unit copies an old one, and both share what went out of it. Here a new unit has fresh weights
to what comes in, and nothing that was there before reads it yet: its outgoing weights are zero.
So the function is the same without any two units being alike, and the first update changes the
weights through which new units are read.
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Int

from selfplay.networks.build import Weights
from selfplay.settings.sections.network import NetworkConfig

_MAY_CHANGE = ("blocks", "channels", "global_pooling", "dtype")


def growth_obstacle(old: NetworkConfig, new: NetworkConfig) -> str | None:
    """Returns why `old` cannot grow into `new`, completing "the network ..."; None if it can."""
    if old.module or new.module:
        return "is a module of your own"
    for field in dataclasses.fields(old):
        if field.name not in _MAY_CHANGE and getattr(old, field.name) != getattr(new, field.name):
            return f"has another network.{field.name}"
    if new.blocks < old.blocks or new.channels < old.channels:
        return "is smaller"
    if old.global_pooling and not new.global_pooling:
        return "has no global pooling"
    if new.channels > old.channels:
        if old.norm == "layer" or old.block == "transformer" or old.attention_every:
            return "is wider, but normalises over all channels, so new ones would change the others"
        if old.groups > 1:
            return "is wider, but its channels are in groups"
    return None


def grow(stored: Weights, fresh: Weights, old: NetworkConfig, new: NetworkConfig) -> Weights:
    """Returns weights of the larger network that predict what `stored` predict.

    Args:
        stored: weights of `old`.
        fresh: fresh weights of `new`, which new units begin with.
        old: the shape of the network that `stored` belong to.
        new: a shape without a `growth_obstacle`.

    Returns:
        Weights by name. Heads that only one of the networks has are left as they are: missing, or
        there in vain.
    """
    grown = {name: jnp.asarray(leaf) for name, leaf in stored.items()}
    for name, leaf in fresh.items():
        group, _, rest = name.partition("/")
        number = rest.partition("/")[0]
        if number.isdigit() and int(number) >= old.blocks:
            # A block of the tower begins as the identity; a layer of a perceptron does not.
            grown[name] = jnp.zeros_like(leaf) if group == "layers" else leaf
        elif "/pooled/" in name and name not in stored:
            grown[name] = jnp.zeros_like(leaf)
        elif name in stored and stored[name].shape != leaf.shape:
            grown[name] = _widened(grown[name], leaf, _old_inputs(name, grown[name], old, new))
    return grown


def _widened(old: Array, fresh: Array, inputs: Int[Array, " n"]) -> Array:
    """Returns the kernel or bias with its old numbers; old outputs do not read new inputs.

    Args:
        old: kernel [..., inputs, outputs] or bias [outputs].
        fresh: the same of the larger layer.
        inputs: where the old inputs are among the new ones.
    """
    outputs = old.shape[-1]
    if old.ndim == 1:
        return fresh.at[:outputs].set(old)
    return fresh.at[..., :outputs].set(0.0).at[..., inputs, :outputs].set(old)


def _old_inputs(
    name: str, kernel: Array, old: NetworkConfig, new: NetworkConfig
) -> Int[Array, " n"]:
    """Returns where the inputs of an old layer are among those of the larger one."""
    count = kernel.shape[-2] if kernel.ndim > 1 else 0
    if "/pooled/" in name:
        # Means of all channels, then maxima.
        before, now, apart = old.inner_channels, new.inner_channels, 0
    elif name.startswith("heads/") and count > old.channels:
        # What the convolution of the head says, then means and maxima of the tower.
        before, now, apart = old.channels, new.channels, count - 2 * old.channels
    else:
        return jnp.arange(count)
    return jnp.concatenate(
        [jnp.arange(apart), apart + jnp.arange(before), apart + now + jnp.arange(before)]
    )
