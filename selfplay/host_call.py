"""Functions on the host, called by compiled programs that can be kept on disk.

JAX's own ways (`pure_callback`, `buffer_callback`) make the Python function part of the program, so
such a program is left out of the compilation cache and every start compiles it anew. Here a program
names the function by a number, an argument like any other: its text is the same in every process.
What it calls is one handler that XLA knows by a fixed name; that looks the function up.

The handler speaks XLA's C interface for handlers in other languages (`xla/ffi/api/c_api.h` in
`jax.ffi.include_dir()`), whose structs only grow at their ends, and needs no more than its first
version had. It says so when it is registered, and an XLA that has given that version up refuses it:
then `buffer_callback` is used, as wherever else something is in the way.
"""

import ctypes
import functools
import itertools
import logging
import math
import traceback
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jax.experimental.buffer_callback import buffer_callback
from jaxtyping import Array, Int32

HostFunction = Callable[..., Sequence[npt.NDArray[Any]]]
"""Takes NumPy arrays and returns as many as the program expects; called on XLA's threads, several
at once. What it is given is XLA's memory: not to be written to, and to be copied if kept."""

_TARGET = "selfplay_host_callback"
"""Stands in compiled programs, also in those on disk: another handler needs another name."""

_INTERFACE = (0, 1)
"""Version of the C interface that the structs below are taken from."""

_METADATA_EXTENSION = 1
_INTERNAL_ERROR = 13

_functions: weakref.WeakValueDictionary[int, HostFunction] = weakref.WeakValueDictionary()
_numbers = itertools.count()


def enrol(function: HostFunction) -> int:
    """Returns the number by which programs call `function`, as long as the caller keeps it.

    No number is given twice in a process.
    """
    number = next(_numbers)
    _functions[number] = function
    return number


def call_host(
    number: int | Int32[Array, ""],
    results: Sequence[jax.ShapeDtypeStruct],
    *arguments: Array,
    awaited: bool = True,
) -> tuple[Array, ...]:
    """Calls a function on the host from a program for CPU devices.

    What the function raises ends the program with a `jax.errors.JaxRuntimeError`, in whose message
    the traceback is. `jax.vmap` makes one call of it, in which every argument and every result has
    the batch axis in front.

    Args:
        number: of the function, from `enrol`. One that is not an argument of the program is part
            of its text: then another process finds the program on disk if it enrols the same
            functions in the same order.
        results: shapes and types of what it returns.
        arguments: what it is given; booleans, integers or floats.
        awaited: whether the end of the process waits for the program; if what the function raised
            has ended it, that is reported then once more.
    """
    # There is no side effect. But JAX waits at the end of the process for programs that have one;
    # others it takes down with the interpreter's lock in hand, while they wait for that lock.
    ways: dict[str, Any] = {"has_side_effect": awaited, "vmap_method": "broadcast_all"}
    if cacheable():
        call = jax.ffi.ffi_call(_TARGET, tuple(results), **ways)
    else:
        call = buffer_callback(_fill, tuple(results), **ways)
    return tuple(call(jnp.int32(number), *arguments))


@functools.cache
def cacheable() -> bool:
    """Returns whether programs call the host through the handler, and so can be kept on disk.

    The first call registers the handler and tries it.
    """
    try:
        # Before there are CPU devices a refusal would come when they start, and end that.
        jax.local_devices(backend="cpu")
        jax.ffi.register_ffi_target(_TARGET, jax.ffi.pycapsule(_HANDLER), platform="cpu")
        _try()
    except Exception as error:
        # Whatever it is: without the handler all is the same but for the time to compile.
        logging.getLogger(__name__).info("programs that call the host are not kept: %r", error)
        return False
    return True


def _try() -> None:
    """Raises an error if a program that calls the host does not get what it should."""

    def double(values: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
        return [2 * values]

    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    # Compiled here and now, even while another function is being traced.
    call = jax.ffi.ffi_call(_TARGET, jax.ShapeDtypeStruct(values.shape, values.dtype))
    compiled = jax.jit(call).lower(np.int32(0), values).compile()
    found = compiled(np.int32(enrol(double)), values)
    if not np.array_equal(np.asarray(found), 2 * values):
        raise ValueError(f"{np.asarray(found)} is not twice {values}")


def _fill(_: Any, out: Sequence[Any], number: Any, *arguments: Any) -> None:
    """Is for `buffer_callback` what the handler is for XLA."""
    _answer(
        np.asarray(number),
        [np.asarray(buffer) for buffer in arguments],
        [np.asarray(buffer) for buffer in out],
    )


def _answer(
    number: npt.NDArray[np.int32], arguments: list[npt.NDArray[Any]], out: list[npt.NDArray[Any]]
) -> None:
    """Writes to `out` what function `number` says, which may have been repeated by `jax.vmap`."""
    function = _functions[int(number.flat[0])]
    for target, values in zip(out, function(*arguments), strict=True):
        target[...] = values


class _Buffer(ctypes.Structure):
    """XLA_FFI_Buffer: an array, its last axis the fastest."""

    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("extension_start", ctypes.c_void_p),
        ("dtype", ctypes.c_int),
        ("data", ctypes.c_void_p),
        ("rank", ctypes.c_int64),
        ("dims", ctypes.POINTER(ctypes.c_int64)),
    )


class _Buffers(ctypes.Structure):
    """XLA_FFI_Args and XLA_FFI_Rets, which are alike; the only type there is is a buffer."""

    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("extension_start", ctypes.c_void_p),
        ("size", ctypes.c_int64),
        ("types", ctypes.c_void_p),
        ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    )


class _Version(ctypes.Structure):
    """XLA_FFI_Api_Version."""

    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("extension_start", ctypes.c_void_p),
        ("major", ctypes.c_int),
        ("minor", ctypes.c_int),
    )


class _Metadata(ctypes.Structure):
    """XLA_FFI_Metadata: what a handler says of itself."""

    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("version", _Version),
        ("traits", ctypes.c_uint32),
    )


class _Extension(ctypes.Structure):
    """XLA_FFI_Metadata_Extension: the question for metadata, the only kind of extension."""

    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("type", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("metadata", ctypes.POINTER(_Metadata)),
    )


class _ErrorArguments(ctypes.Structure):
    """XLA_FFI_Error_Create_Args."""

    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("extension_start", ctypes.c_void_p),
        ("message", ctypes.c_char_p),
        ("code", ctypes.c_int),
    )


class _Api(ctypes.Structure):
    """The beginning of XLA_FFI_Api, the table of XLA's functions."""

    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("extension_start", ctypes.c_void_p),
        ("version", _Version),
        ("internal_api", ctypes.c_void_p),
        ("error_create", ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.POINTER(_ErrorArguments))),
    )


class _Frame(ctypes.Structure):
    """The beginning of XLA_FFI_CallFrame: one call of the handler."""

    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("extension_start", ctypes.POINTER(_Extension)),
        ("api", ctypes.POINTER(_Api)),
        ("context", ctypes.c_void_p),
        ("stage", ctypes.c_int),
        ("arguments", _Buffers),
        ("results", _Buffers),
    )


def _handle(address: int) -> int | None:
    """Answers a call by XLA; ctypes has taken the interpreter's lock by then.

    Args:
        address: of an XLA_FFI_CallFrame.

    Returns:
        The address of an XLA_FFI_Error, None if all went well.
    """
    frame = _Frame.from_address(address)
    # Everything, for nothing may pass through XLA's frames but an error of its own.
    try:
        if frame.extension_start:
            _introduce(frame)
            return None
        number, *arguments = _arrays(frame.arguments, writeable=False)
        _answer(number, arguments, _arrays(frame.results, writeable=True))
        return None
    except BaseException:
        message = traceback.format_exc().encode()
        error = _ErrorArguments(ctypes.sizeof(_ErrorArguments), None, message, _INTERNAL_ERROR)
        made: int = frame.api.contents.error_create(error)
        return made


def _introduce(frame: _Frame) -> None:
    """Answers the question for metadata, which XLA asks when it registers the handler."""
    api, extension = frame.api.contents, frame.extension_start.contents
    if api.version.major != _INTERFACE[0] or extension.type != _METADATA_EXTENSION:
        raise NotImplementedError(f"interface {api.version.major}, extension {extension.type}")
    metadata = extension.metadata.contents
    metadata.version.major, metadata.version.minor = _INTERFACE
    metadata.traits = 0


def _arrays(buffers: _Buffers, *, writeable: bool) -> list[npt.NDArray[Any]]:
    """Returns XLA's memory as arrays, for the time of the call."""
    arrays = []
    for address in buffers.buffers[: buffers.size]:
        buffer = _Buffer.from_address(address)
        layout = _layout(buffer.dtype, *buffer.dims[: buffer.rank])
        # An array without elements has no memory.
        memory: Any = layout.memory.from_address(buffer.data) if buffer.data else None
        array: npt.NDArray[Any] = np.ndarray(layout.shape, layout.dtype, memory)
        array.flags.writeable = writeable
        arrays.append(array)
    return arrays


class _Layout(NamedTuple):
    """How to see a piece of memory as an array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    memory: type[ctypes.Array[ctypes.c_char]]


@functools.lru_cache
def _layout(code: int, *shape: int) -> _Layout:
    """Returns the layout of an XLA_FFI_DataType and these lengths; they are few, calls are many."""
    dtype = np.dtype(_DTYPES[code])
    return _Layout(shape, dtype, ctypes.c_char * (math.prod(shape) * dtype.itemsize))


_DTYPES = {
    1: "bool",
    2: "int8",
    3: "int16",
    4: "int32",
    5: "int64",
    6: "uint8",
    7: "uint16",
    8: "uint32",
    9: "uint64",
    10: "float16",
    11: "float32",
    12: "float64",
}
"""NumPy's names of XLA_FFI_DataType."""

_HANDLER = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(_handle)
# XLA keeps its address as long as the process lives, longer than Python keeps a module.
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_HANDLER))
