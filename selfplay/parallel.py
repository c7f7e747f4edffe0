"""Spreading a batch over devices: all those of this process, or of several processes.

XLA runs convolutions on one CPU thread, so on a CPU the cores are presented as devices (see
`selfplay.startup`) and every batch is cut into one part per device. On a machine with several
accelerators the same code uses them all.
"""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = "devices"

ALONG_BATCH = PartitionSpec(AXIS)
"""The leading axis is cut into one part per device."""

REPLICATED = PartitionSpec()
"""Every device has the whole."""


def local_mesh() -> Mesh:
    """Returns the devices of this process as a one-axis mesh."""
    return Mesh(jax.local_devices(), (AXIS,))


def global_mesh() -> Mesh:
    """Returns the devices of all processes that work as one; alone, those of this process."""
    return Mesh(jax.devices(), (AXIS,))


def host_device() -> jax.Device:
    """Returns a CPU device of this process, for small programs that are not to wait for others.

    Where JAX was told to use no CPU (`JAX_PLATFORMS=cuda`), it is the first device there is.
    """
    try:
        return jax.local_devices(backend="cpu")[0]
    except RuntimeError:
        return jax.local_devices()[0]


def place(tree: Any, mesh: Mesh, spec: PartitionSpec) -> Any:
    """Returns arrays, equal in all processes of `mesh`, laid out on its devices.

    Nothing is shared with other arrays, so the result may be donated.
    """
    lies = NamedSharding(mesh, spec)
    if jax.process_count() == 1:
        return jax.device_put(tree, lies, may_alias=False)
    # Each process hands over the parts of its own devices.
    return jax.tree.map(
        lambda leaf: jax.make_array_from_callback(leaf.shape, lies, lambda part: leaf[part].copy()),
        jax.device_get(tree),
    )


def sharding(mesh: Mesh, spec: PartitionSpec) -> NamedSharding:
    """Returns how an array with `spec` lies on the devices of `mesh`."""
    return NamedSharding(mesh, spec)


def per_device(
    function: Callable[..., Any], mesh: Mesh, in_specs: Any, out_specs: Any
) -> Callable[..., Any]:
    """Returns `function` run on every device with that device's part of the arguments.

    Each device runs its own program on its own part: a loop that ends early on one does not wait
    for the others.
    """
    return jax.shard_map(
        function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False
    )
