"""LLVM: text to functions. The only place that knows llvmlite."""

from __future__ import annotations

import functools
import os
import weakref
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from threading import RLock
from typing import Any

import numpy as np

from . import kernel_cache
from .ufunc_addresses import Doubt

_MOST, _MOST_BYTES = 256, 2**24
"""Modules that are kept though no plan uses them, and the bytes of their code: the same network is often made again."""


class Address(int):
    """The address of a compiled function. Its code is there as long as any such object of its module is.

    Attributes
    ----------
    module : Module
    """

    module: Module


class Module:
    """Functions that were compiled together. Their memory is given back when nobody refers to it any more.

    Attributes
    ----------
    functions : mapping of str to int
        Where they lie, by name.
    size : int
        The bytes of their code.
    """

    def __init__(self, functions: Mapping[str, int], size: int) -> None:
        self.functions = functions
        self.size = size

    def address(self, name: str) -> Address:
        """Return where a function lies."""
        found = Address(self.functions[name])
        found.module = self
        return found


class Engine:
    """Compiles text for this processor, and keeps what it has compiled: as long as it is used, and some of it longer.

    No pass may change a number: there is no fast-math, and a product and a sum are not contracted to one operation. The
    text is written as it is to be computed, so that none of LLVM's passes but those of its code generator are needed.

    Attributes
    ----------
    machine : str
        The processor and its features; what is compiled holds for no other.
    versions : str
        Of all that compiles.
    register : int
        The bytes of its widest registers.
    """

    def __init__(self) -> None:
        import llvmlite.binding as llvm

        self._llvm = llvm
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features()
        target = llvm.Target.from_default_triple()
        self._target = target.create_target_machine(
            cpu=cpu, features=features.flatten(), opt=2, reloc="pic", codemodel="jitdefault"
        )
        of_llvm = ".".join(map(str, llvm.llvm_version_info))
        self.versions = f"llvmlite {version('llvmlite')}, LLVM {of_llvm}, NumPy {np.__version__}"
        self.machine = f"{target.triple} {cpu} {features.flatten()}"
        self.register = 64 if features.get("avx512vl") else 32 if features.get("avx2") else 16
        self._modules: weakref.WeakValueDictionary[str, Module] = weakref.WeakValueDictionary()
        self._latest: OrderedDict[Module, None] = OrderedDict()
        """The one used last is at the end."""
        self._lock = RLock()
        if hasattr(os, "register_at_fork"):
            # LLVM has locks of its own: a process is forked while no thread is in there.
            release = self._lock.release
            os.register_at_fork(before=self._lock.acquire, after_in_parent=release, after_in_child=release)

    def functions(self, texts: Sequence[tuple[str, str]]) -> list[Address]:
        """Return the addresses of functions, given by their names and texts; what is there is not compiled again.

        Raises
        ------
        Doubt
            When LLVM refuses a text.
        """
        with self._lock:
            found = {name: module for name, _ in texts if (module := self._modules.get(name)) is not None}
            new = {name: text for name, text in texts if name not in found}
            if new:
                found.update(dict.fromkeys(new, self._loaded(self._compiled("\n".join(new.values())), list(new))))
            self._keep(dict.fromkeys(found.values()))
            return [found[name].address(name) for name, _ in texts]

    def _keep(self, used: Mapping[Module, None]) -> None:
        """Keep modules for a while, whether they are used or not; let go of those that have not been asked for."""
        for module in used:
            self._latest[module] = None
            self._latest.move_to_end(module)
        size = sum(module.size for module in self._latest)
        while len(self._latest) > _MOST or (size > _MOST_BYTES and len(self._latest) > 1):
            gone, _ = self._latest.popitem(last=False)
            size -= gone.size

    def _compiled(self, text: str) -> bytes:
        key = f"{self.versions}\n{self.machine}\n{text}"
        known = kernel_cache.load(key)
        if known is not None:
            return known
        code = self._translated(text)
        kernel_cache.keep(key, code)
        return code

    def _translated(self, text: str) -> bytes:
        try:
            module = self._llvm.parse_assembly(text)
            module.triple = self._target.triple
            module.data_layout = str(self._target.target_data)
            module.verify()
        except RuntimeError as error:
            raise Doubt(f"LLVM refuses a text: {error}") from None
        return bytes(self._target.emit_object(module))

    def _loaded(self, code: bytes, names: Sequence[str]) -> Module:
        # Of all that LLVM offers, only an engine that is closed gives back all that it took.
        engine = self._llvm.create_mcjit_compiler(self._llvm.parse_assembly(""), self._target_again())
        engine.add_object_file(self._llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        functions = {name: engine.get_function_address(name) for name in names}
        for name, address in functions.items():
            if not address:
                raise Doubt(f"LLVM has made no function {name}")
        module = Module(functions, len(code))
        # Not when the process ends: a thread may still be in there.
        weakref.finalize(module, self._close, engine).atexit = False
        self._modules.update(dict.fromkeys(names, module))
        return module

    def _close(self, engine: Any) -> None:
        with self._lock:
            engine.close()

    def _target_again(self) -> Any:
        """Return a target machine for an engine, which takes possession of it."""
        return self._llvm.Target.from_default_triple().create_target_machine()

    def assembly(self, text: str) -> str:
        """Return what a text is compiled to, to read."""
        with self._lock:
            module = self._llvm.parse_assembly(text)
            return str(self._target.emit_assembly(module))


@functools.cache
def engine() -> Engine:
    """Return the engine of this process."""
    return Engine()
