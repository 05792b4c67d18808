"""A step split into shards of its batch: which nodes each shard computes, what is added up, and what runs once."""

from .cut import Cut, cut
from .programs import Once, Programs, Stage, programs_of
from .rules import Joined

__all__ = ["Cut", "Joined", "Once", "Programs", "Stage", "cut", "programs_of"]
