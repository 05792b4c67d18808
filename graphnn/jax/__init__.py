"""JAX: the same graph on XLA, for processors, GPUs and TPUs. Each operation by a rule of one or two lines.

JAX is imported when a step is compiled for it, and its settings are the user's: 64 bits are on within a step only.
"""

from .rules import rule as rule
