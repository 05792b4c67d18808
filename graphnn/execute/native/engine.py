"""LLVM: text to functions. The only place that knows llvmlite."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from ...locks import Lock
from . import cache
from .addresses import Doubt


class Engine:
    """Compiles text for this processor, and keeps what it has compiled.

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
        self._engines: list[Any] = []
        self._functions: dict[str, int] = {}
        self._lock = Lock()

    def functions(self, texts: Sequence[tuple[str, str]]) -> list[int]:
        """Return the addresses of functions, given by their names and texts; each is compiled once.

        Raises
        ------
        Doubt
            When LLVM refuses a text.
        """
        with self._lock:
            new = {name: text for name, text in texts if name not in self._functions}
            if new:
                self._load(self._compiled("\n".join(new.values())), list(new))
            return [self._functions[name] for name, _ in texts]

    def _compiled(self, text: str) -> bytes:
        key = f"{self.versions}\n{self.machine}\n{text}"
        known = cache.load(key)
        if known is not None:
            return known
        code = self._translated(text)
        cache.keep(key, code)
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

    def _load(self, code: bytes, names: Sequence[str]) -> None:
        engine = self._llvm.create_mcjit_compiler(self._llvm.parse_assembly(""), self._target_again())
        engine.add_object_file(self._llvm.ObjectFileRef.from_data(code))
        engine.finalize_object()
        self._engines.append(engine)
        for name in names:
            address = engine.get_function_address(name)
            if not address:
                raise Doubt(f"LLVM has made no function {name}")
            self._functions[name] = address

    def _target_again(self) -> Any:
        """Return a target machine for an engine, which takes possession of it."""
        return self._llvm.Target.from_default_triple().create_target_machine()

    def assembly(self, text: str) -> str:
        """Return what a text is compiled to, to read."""
        module = self._llvm.parse_assembly(text)
        return str(self._target.emit_assembly(module))


@functools.cache
def engine() -> Engine:
    """Return the engine of this process."""
    return Engine()
