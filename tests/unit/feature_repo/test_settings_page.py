"""Tests of docs/settings.md."""

from docs.export_settings import FILE, SECTIONS, settings_page
from feature_repo.settings import EnvironmentSettings


def test_settings_page_committed_file_equals_generated_table() -> None:
    assert FILE.read_text() == settings_page(), "run `make settings`"


def test_settings_page_each_settings_class_has_a_section_and_each_field_a_description() -> None:
    assert set(EnvironmentSettings.__subclasses__()) == set(SECTIONS.values())
    assert all(field.description for settings in SECTIONS.values() for field in settings.model_fields.values())
