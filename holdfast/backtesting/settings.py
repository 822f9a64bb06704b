"""Settings of a backtest."""

from pydantic import BaseModel, ConfigDict, Field

from holdfast.model_versions.gate_settings import GateSettings


class PolicySettings(BaseModel):
    """Settings of the drift policy."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_psi: float = Field(default=0.25, gt=0, description="PSI above which the score has drifted.")
    min_rows: int = Field(default=200, ge=1, description="Number of customers below which drift is not evaluated.")


# Early versions have a short history: a purchase model of few months may be surely better, and a month far off. Without
# a first champion, policies cannot be compared.
DEFAULT_GATES = GateSettings(min_gain_over_baselines=-0.05, max_bias=0.25)
