"""Threads of the processor that wait for parts of a call: they know nothing of Python, and never hold its lock.

There is one pool in a process. The parts are fixed when a plan is made, and write to different memory; which thread
computes which changes nothing. Who finds the pool taken by another step computes all parts itself.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
from ctypes.util import find_library
from threading import RLock

import numpy as np

from .ufunc_addresses import Doubt

_MUTEX, _WORK, _DONE, _MODES = 0, 16, 32, 48
"""Where in the pool's words they lie: what only one thread holds, what is waited for, how numbers are rounded."""
_STATE = ("stop", "taken", "parts", "count", "next", "left")
_CALLED = (
    "pthread_mutex_lock",
    "pthread_mutex_unlock",
    "pthread_cond_wait",
    "pthread_cond_broadcast",
    "sched_yield",
    "fegetenv",
    "fesetenv",
)
_PLACES = {name: 112 + i for i, name in enumerate((*_STATE, *_CALLED))}
_WORDS = 128
_LOOKS = 100
"""How often a thread looks for work, or for others to be done, and lets others run, before it sleeps."""


def _named(text: str) -> str:
    """Return a text with the lines that PLACES, CALLED and BLOCKS stand for: where words of the pool lie."""
    lines: list[str] = []
    for line in text.replace("LOOKS", str(_LOOKS)).splitlines():
        word, _, told = line.rstrip(")").partition("(")
        names = told.split(", ")
        if word in ("PLACES", "CALLED"):
            lines += [f"  %{name}.p = getelementptr i64, ptr %pool, i64 {_PLACES[name]}" for name in names]
            lines += [f"  %{name} = load ptr, ptr %{name}.p" for name in names if word == "CALLED"]
        elif word == "BLOCKS":
            blocks = ("work", _WORK), ("done", _DONE), ("modes", _MODES)
            lines += [f"  %{name} = getelementptr i64, ptr %pool, i64 {place}" for name, place in blocks]
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


# `together` has some calls be done by this thread and by those of the pool. Dimensions (count); the pool's address is
# the word of the table, to which the steps point, that POOL stands for; as data the calls, five words each.
# `worker` is what a thread of the pool does; `dismissed` waits until nobody uses the pool, and has its threads end.
TOGETHER = """
define i1 @is_wanted(ptr %pool) nounwind {
entry:
PLACES(stop, count, next)
  %stop = load atomic i64, ptr %stop.p monotonic, align 8
  %next = load atomic i64, ptr %next.p monotonic, align 8
  %count = load atomic i64, ptr %count.p monotonic, align 8
  %ends = icmp ne i64 %stop, 0
  %some = icmp slt i64 %next, %count
  %wanted = or i1 %ends, %some
  ret i1 %wanted
}

define void @next_part(ptr %pool) nounwind {
entry:
PLACES(parts, next, left)
CALLED(pthread_mutex_lock, pthread_mutex_unlock)
  %parts = load ptr, ptr %parts.p
  %i = load i64, ptr %next.p
  %j = add i64 %i, 1
  store atomic i64 %j, ptr %next.p monotonic, align 8
  %unlocked = call i32 %pthread_mutex_unlock(ptr %pool)
  %base = mul i64 %i, 5
  %part = getelementptr i64, ptr %parts, i64 %base
  call void @one(ptr %part)
  %locked = call i32 %pthread_mutex_lock(ptr %pool)
  %left = load i64, ptr %left.p
  %fewer = sub i64 %left, 1
  store atomic i64 %fewer, ptr %left.p release, align 8
  ret void
}

define ptr @worker(ptr %pool) nounwind {
entry:
PLACES(stop, left)
BLOCKS
CALLED(pthread_mutex_lock, pthread_mutex_unlock, pthread_cond_wait, pthread_cond_broadcast, sched_yield, fesetenv)
  %locked = call i32 %pthread_mutex_lock(ptr %pool)
  br label %look
look:
  %wanted = call i1 @is_wanted(ptr %pool)
  br i1 %wanted, label %what, label %idle
what:
  %stop = load i64, ptr %stop.p
  %ends = icmp ne i64 %stop, 0
  br i1 %ends, label %end, label %part
part:
  %set = call i32 %fesetenv(ptr %modes)
  call void @next_part(ptr %pool)
  %left = load i64, ptr %left.p
  %last = icmp eq i64 %left, 0
  br i1 %last, label %tell, label %look
tell:
  %told = call i32 %pthread_cond_broadcast(ptr %done)
  br label %look
idle:
  %unlocked = call i32 %pthread_mutex_unlock(ptr %pool)
  br label %spin
spin:
  %k = phi i64 [0, %idle], [%k.next, %again]
  %now = call i1 @is_wanted(ptr %pool)
  br i1 %now, label %awake, label %again
again:
  %yielded = call i32 %sched_yield()
  %k.next = add i64 %k, 1
  %k.more = icmp slt i64 %k.next, LOOKS
  br i1 %k.more, label %spin, label %awake
awake:
  %locked.again = call i32 %pthread_mutex_lock(ptr %pool)
  br label %asleep
asleep:
  %wanted.now = call i1 @is_wanted(ptr %pool)
  br i1 %wanted.now, label %what, label %sleep
sleep:
  %woken = call i32 %pthread_cond_wait(ptr %work, ptr %pool)
  br label %asleep
end:
  %released = call i32 %pthread_mutex_unlock(ptr %pool)
  ret ptr null
}

define void @together(ptr %args, ptr %dims, ptr %steps, ptr %data) nounwind {
entry:
  %pool.p = getelementptr i64, ptr %steps, i64 POOL
  %pool = load ptr, ptr %pool.p
PLACES(taken, parts, count, next, left)
BLOCKS
CALLED(pthread_mutex_lock, pthread_mutex_unlock, pthread_cond_wait, pthread_cond_broadcast, sched_yield, fegetenv)
  %n = load i64, ptr %dims
  %locked = call i32 %pthread_mutex_lock(ptr %pool)
  %taken = load i64, ptr %taken.p
  %is.taken = icmp ne i64 %taken, 0
  br i1 %is.taken, label %alone, label %take
alone:
  %unlocked = call i32 %pthread_mutex_unlock(ptr %pool)
  br label %each
each:
  %e = phi i64 [0, %alone], [%e.next, %each]
  %e.base = mul i64 %e, 5
  %e.p = getelementptr i64, ptr %data, i64 %e.base
  call void @one(ptr %e.p)
  %e.next = add i64 %e, 1
  %e.more = icmp slt i64 %e.next, %n
  br i1 %e.more, label %each, label %end
take:
  %got = call i32 %fegetenv(ptr %modes)
  store i64 1, ptr %taken.p
  store ptr %data, ptr %parts.p
  store i64 %n, ptr %left.p
  store atomic i64 0, ptr %next.p monotonic, align 8
  store atomic i64 %n, ptr %count.p release, align 8
  %told = call i32 %pthread_cond_broadcast(ptr %work)
  br label %mine
mine:
  call void @next_part(ptr %pool)
  %next = load i64, ptr %next.p
  %more = icmp slt i64 %next, %n
  br i1 %more, label %mine, label %wait
wait:
  %released = call i32 %pthread_mutex_unlock(ptr %pool)
  br label %spin
spin:
  %k = phi i64 [0, %wait], [%k.next, %again]
  %left = load atomic i64, ptr %left.p acquire, align 8
  %is.done = icmp eq i64 %left, 0
  br i1 %is.done, label %back, label %again
again:
  %yielded = call i32 %sched_yield()
  %k.next = add i64 %k, 1
  %k.more = icmp slt i64 %k.next, LOOKS
  br i1 %k.more, label %spin, label %back
back:
  %locked.again = call i32 %pthread_mutex_lock(ptr %pool)
  br label %asleep
asleep:
  %left.now = load i64, ptr %left.p
  %all = icmp eq i64 %left.now, 0
  br i1 %all, label %give, label %sleep
sleep:
  %woken = call i32 %pthread_cond_wait(ptr %done, ptr %pool)
  br label %asleep
give:
  store atomic i64 0, ptr %count.p monotonic, align 8
  store i64 0, ptr %taken.p
  %freed = call i32 %pthread_cond_broadcast(ptr %done)
  %over = call i32 %pthread_mutex_unlock(ptr %pool)
  br label %end
end:
  ret void
}

define void @dismissed(ptr %pool) nounwind {
entry:
PLACES(stop, taken)
BLOCKS
CALLED(pthread_mutex_lock, pthread_mutex_unlock, pthread_cond_wait, pthread_cond_broadcast)
  %locked = call i32 %pthread_mutex_lock(ptr %pool)
  br label %look
look:
  %taken = load i64, ptr %taken.p
  %free = icmp eq i64 %taken, 0
  br i1 %free, label %stop, label %wait
wait:
  %woken = call i32 %pthread_cond_wait(ptr %done, ptr %pool)
  br label %look
stop:
  store atomic i64 1, ptr %stop.p monotonic, align 8
  %told = call i32 %pthread_cond_broadcast(ptr %work)
  %unlocked = call i32 %pthread_mutex_unlock(ptr %pool)
  ret void
}
"""


def pooled(place: int) -> str:
    """Return the text of all functions, for tables that hold the pool's address as this word."""
    return _named(TOGETHER).replace("POOL", str(place))


class Pool:
    """The threads of this process, and what they share: words at a place that never changes.

    Parameters
    ----------
    worker, dismissed : int
        The addresses of these functions.
    """

    def __init__(self, worker: int, dismissed: int) -> None:
        self.words = np.zeros(_WORDS, np.int64)
        self._system = ctypes.CDLL(None)
        self._maths = self._system if hasattr(self._system, "fegetenv") else ctypes.CDLL(find_library("m"))
        self._threads: list[ctypes.c_void_p] = []
        self._lock = RLock()
        self._worker, self._dismissed = worker, dismissed
        self._stopped = 0
        self._lay_out()
        os.register_at_fork(before=self._stop, after_in_parent=self._go_on, after_in_child=self._begin_again)
        atexit.register(self._stop)

    @property
    def address(self) -> int:
        """Where the pool's words lie."""
        return self.words.ctypes.data

    def _lay_out(self) -> None:
        self.words[:] = 0
        for name in _CALLED:
            function = getattr(self._maths if name.startswith("fe") else self._system, name, None)
            if function is None:
                raise Doubt(f"this system has no {name}")
            self.words[_PLACES[name]] = ctypes.cast(function, ctypes.c_void_p).value or 0
        self._system.pthread_mutex_init(ctypes.c_void_p(self.address + 8 * _MUTEX), None)
        for place in (_WORK, _DONE):
            self._system.pthread_cond_init(ctypes.c_void_p(self.address + 8 * place), None)

    def ready(self, helpers: int) -> None:
        """Have at least so many threads beside the one that calls."""
        with self._lock:
            self._start(helpers - len(self._threads))

    def _start(self, count: int) -> None:
        """Start threads, which get no signals: these are for Python's own."""
        if count <= 0:
            return
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            for _ in range(count):
                thread = ctypes.c_void_p()
                function = ctypes.c_void_p(self._worker)
                failed = self._system.pthread_create(
                    ctypes.byref(thread), None, function, ctypes.c_void_p(self.address)
                )
                if failed:
                    return  # there are fewer, then
                self._threads.append(thread)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _stop(self) -> None:
        """End all threads: a process that is forked has none of them, and one that ends shall not be computing."""
        self._stopped = len(self._threads)
        if self._threads:
            ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._dismissed)(self.address)
        while self._threads:
            self._system.pthread_join(self._threads.pop(), None)

    def _go_on(self) -> None:
        self.words[_PLACES["stop"]] = 0
        self._start(self._stopped)

    def _begin_again(self) -> None:
        """Go on in a new process, where a thread that does not exist may have held the mutex."""
        self._threads = []
        self._lay_out()
        self._go_on()
