"""Who is told of alerts, of which, and how often."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from holdfast.monitoring.findings import Severity


class AlertSettings(BaseSettings):
    """Channels and times; read from the environment (prefix ``HOLDFAST_ALERT_``) by :func:`load_alert_settings`."""

    model_config = SettingsConfigDict(
        env_prefix="HOLDFAST_ALERT_", extra="ignore", frozen=True, env_ignore_empty=True, hide_input_in_errors=True
    )

    webhook: SecretStr | None = Field(default=None, description="URL that takes each alert as JSON in a POST.")
    slack_webhook: SecretStr | None = Field(default=None, description="Slack's incoming webhook, or one like it.")
    log_minimum: Severity = Field(default="info", description="The least severity that is logged.")
    webhook_minimum: Severity = Field(default="info", description="The least severity that the webhook is sent.")
    slack_minimum: Severity = Field(default="warning", description="The least severity that Slack is sent.")
    reminder_hours: float = Field(default=24, gt=0, description="An alert that stays open is told again after this.")
    timeout_seconds: float = Field(default=5, gt=0, le=30, description="How long a receiver has to answer.")
    first_retry_seconds: float = Field(default=30, gt=0, description="Wait after the first failure; doubled each time.")
    longest_retry_seconds: float = Field(default=3600, gt=0, description="The longest wait between two attempts.")
    give_up_days: float = Field(default=7, gt=0, description="What no attempt has delivered by then is given up.")


def load_alert_settings() -> AlertSettings:
    """Read them from the environment."""
    return AlertSettings()
