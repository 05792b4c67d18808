"""A step split into shards of its batch: which nodes each shard computes, what is added up, and what runs once."""

from . import loop_sharding
from .shard_partition import Cut, cut
from .shard_programs import Once, Programs, Stage, programs_of
from .sharding_rules import Joined

__all__ = ["Cut", "Joined", "Once", "Programs", "Stage", "cut", "loop_sharding", "programs_of"]
