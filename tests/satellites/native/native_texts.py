"""The texts that native plans are made of, heard on their way to the compilers of Python and of LLVM."""

import builtins
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pytest

from graphnn.compiler import codegen_functions
from graphnn.native import llvm_reductions, llvm_runtime, selftest
from graphnn.native.llvm import Engine

_WORDS = """add align and br call define double eq extractelement fadd fcmp fdiv float fmul fneg fpext fptrunc fsub
getelementptr i1 i16 i32 i64 i8 icmp insertelement label load mul ne nounwind oeq oge ogt ole olt one or
ord phi poison ptr ret select sext sge sgt shufflevector sitofp sle slt splat store sub to trunc udiv uge
ugt uitofp ule ult une uno urem void x xor zeroinitializer zext true false"""
_KNOWN = "|".join(_WORDS.split())
_OWN = r"k[0-9a-f]{24}|(?:arg(?:max|min)|adding)_\w{1,5}"
_FUNCTIONS = rf"llvm\.(?:ceil|fabs|floor|maximum|minimum|rint|sqrt|trunc)\.(?:v\d{{1,2}})?f(?:32|64)|{_OWN}"
_TOKEN = re.compile(
    rf"(?:{_KNOWN})\b|%[a-z][a-z0-9.]{{0,11}}|@(?:{_FUNCTIONS})|-?\d{{1,4}}(?:\.\d)?\b|0x7FF0000000000000"
    r"|^[a-z]+\d?(?:\.[a-z]+)?:$|[(){}<>\[\],=]|\s+",
    re.MULTILINE,
)


class Texts(NamedTuple):
    """What was to be compiled."""

    python: list[str]
    llvm: list[str]


@contextmanager
def heard() -> Iterator[Texts]:
    """Yield the texts of the native plans that are made meanwhile. LLVM compiles none of them: none may be called."""
    assert selftest.is_trusted()
    llvm_runtime.own_loops()
    for ufunc, char in product((np.add, np.maximum, np.minimum), "fd"):
        llvm_reductions.own_reduction(ufunc, np.dtype(char), along=True)
    texts = Texts([], [])

    def compiled(text: str, file: str, mode: str) -> Any:
        texts.python.append(text)
        return builtins.compile(text, file, mode)

    def functions(own: Engine, asked: Sequence[tuple[str, str]]) -> list[int]:
        texts.llvm.extend(f"{text}" for name, text in asked)
        assert all(re.fullmatch(r"\w+", name) for name, _ in asked)
        return [0] * len(asked)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codegen_functions, "compile", compiled, raising=False)
        patch.setattr(Engine, "functions", functions)
        yield texts


def foreign(text: str) -> list[str]:
    """Return what in a kernel's text is neither a word of LLVM's that kernels have, nor a small number or a name."""
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            return [text[at : at + 60]]
        at = found.end()
    return []
