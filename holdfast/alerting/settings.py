"""Settings of alert channels, severities and times."""

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from feature_repo.settings import PREFIX, EnvironmentSettings
from holdfast.monitoring.findings import Severity


class AlertSettings(EnvironmentSettings):
    """Channels and times, from the environment (prefix ``HOLDFAST_ALERT_``)."""

    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}ALERT_", env_ignore_empty=True, hide_input_in_errors=True)

    webhook: SecretStr | None = Field(default=None, description="URL that receives each message as JSON in a POST.")
    slack_webhook: SecretStr | None = Field(
        default=None, description="URL of Slack's incoming webhook, or of a receiver of the same format."
    )
    log_minimum: Severity = Field(default="info", description="Least severity that is logged.")
    webhook_minimum: Severity = Field(default="info", description="Least severity that the webhook receives.")
    slack_minimum: Severity = Field(default="warning", description="Least severity that Slack receives.")
    reminder_hours: float = Field(default=24, gt=0, description="Time between two messages about an open alert.")
    timeout_seconds: float = Field(default=5, gt=0, le=30, description="Timeout of each read from a receiver.")
    first_retry_seconds: float = Field(default=30, gt=0, description="Wait after the first failure; doubled each time.")
    longest_retry_seconds: float = Field(default=3600, gt=0, description="Longest wait between two attempts.")
    give_up_days: float = Field(default=7, gt=0, description="Age at which an undelivered message is given up.")
