"""Times of the stages of a micro-batch, for metrics and spans."""

import time
from dataclasses import dataclass, field


@dataclass
class StageTimes:
    """Times at which a micro-batch started and finished each stage, seconds since 1970."""

    started: float = field(default_factory=time.time)
    fetched: float = 0.0
    transformed: float = 0.0
    scored: float = 0.0

    def intervals(self) -> tuple[tuple[str, float, float], ...]:
        """List the stages.

        Returns:
            Name, start and end of each stage.
        """
        return (
            ("store", self.started, self.fetched),
            ("transform", self.fetched, self.transformed),
            ("model", self.transformed, self.scored),
        )
