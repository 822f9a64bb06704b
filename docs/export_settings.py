"""Table of all settings in docs/settings.md, generated from the settings classes. `make settings`."""

from pathlib import Path

from deploy.local.settings import LocalSettings
from feature_repo.settings import EnvironmentSettings, Settings
from holdfast.alerting.settings import AlertSettings
from holdfast.feast_stores.settings import FEATURE_REPO, FeatureStoreSettings
from holdfast.models.artifact_sources import ArtifactSettings
from holdfast.models.promotion_signature import PromotionKeySettings
from holdfast.promotion.four_eyes import ApprovalSettings
from holdfast.runtime.endpoints import EndpointSettings
from services.settings import ServingSettings

FILE = Path(__file__).resolve().with_name("settings.md")
SECTIONS: dict[str, type[EnvironmentSettings]] = {
    "Flows and service": Settings,
    "Feature store": FeatureStoreSettings,
    "Service": ServingSettings,
    "Model files": ArtifactSettings,
    "Signatures of promotions": PromotionKeySettings,
    "Approval by persons": ApprovalSettings,
    "Addresses and source of the daily run": EndpointSettings,
    "Alerts": AlertSettings,
    "`make up`": LocalSettings,
}
_HEADER = """# Settings

Environment variables with their defaults (empty: not set), generated from the settings classes by `make settings`.
`OTEL_EXPORTER_OTLP_ENDPOINT` (receiver of traces) applies besides.
"""
_COMPUTED_DEFAULTS = {"data": "data", "clock": "wall"}


def settings_page() -> str:
    """Render the settings table.

    Returns:
        The page in Markdown.
    """
    parts = [_HEADER]
    for title, settings in SECTIONS.items():
        rows = "".join(
            f"| `{settings.variable(name)}={_default(name, field.get_default())}` | {field.description} |\n"
            for name, field in settings.model_fields.items()
        )
        parts.append(f"## {title}\n\n| variable | meaning |\n|---|---|\n{rows}")
    return "\n".join(parts)


def _default(name: str, value: object) -> str:
    if name in _COMPUTED_DEFAULTS:
        return _COMPUTED_DEFAULTS[name]
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Path) and value.is_absolute():
        value = value.relative_to(FEATURE_REPO.parent)
    return str(value)


def main() -> None:
    """Write docs/settings.md."""
    FILE.write_text(settings_page())


if __name__ == "__main__":
    main()
