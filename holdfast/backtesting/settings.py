"""What may be set about a backtest."""

from pydantic import BaseModel, ConfigDict, Field

from holdfast.model_versions.gate_settings import GateSettings


class PolicySettings(BaseModel):
    """When drift counts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_psi: float = Field(default=0.25, gt=0, description="PSI above which the score has drifted.")
    min_rows: int = Field(default=200, ge=1, description="Customers below which drift is not judged.")


# The gates stop early versions: history is too short to tell them from a simple baseline for sure, or to calibrate
# them for every group. Without a first champion, there is nothing to compare policies of retraining by.
DEFAULT_GATES = GateSettings(min_gain_over_baselines=-0.05, max_bias=0.25)
