"""Scoring files: every row answered or accounted for, whatever the size, also after a crash and in shards."""

from sentilora.scoring.gather import gather
from sentilora.scoring.score import ScoreResult, score

__all__ = ["ScoreResult", "gather", "score"]
