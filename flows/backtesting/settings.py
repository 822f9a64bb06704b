"""What may be set about a backtest."""

from pydantic import BaseModel, ConfigDict, Field

from flows.promotion.settings import GateSettings


class PolicySettings(BaseModel):
    """When drift counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_psi: float = Field(default=0.25, gt=0, description="PSI above which the score has drifted.")
    min_rows: int = Field(default=200, ge=1, description="Customers below which drift is not judged.")


class BacktestGates(GateSettings):
    """The gates of the live system, which a backtest may ease: there, no version may be worse than a baseline."""

    min_gain_over_baselines: float = Field(
        default=0.0, description="ROC-AUC surely above that of each baseline by more than this; below 0, less by it."
    )

    @property
    def eased(self) -> bool:
        """Whether they let pass what the live gates would stop."""
        return self.min_gain_over_baselines < 0


# The gates stop early versions, which history is too short to tell from a simple baseline for sure: none of CDNOW's
# before June 1998. Without a first champion, there is nothing to compare policies of retraining by.
DEFAULT_GATES = BacktestGates(min_gain_over_baselines=-0.05)
