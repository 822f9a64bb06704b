"""Creation of MLflow's database and of folders, before several processes use them at once."""

from feature_repo.settings import load_settings


def main() -> None:
    """Create the missing parts; two processes that create MLflow's database at the same time fail."""
    from holdfast.models.mlflow_client import open_tracking

    settings = load_settings()
    settings.evidently.mkdir(parents=True, exist_ok=True)
    open_tracking(settings)


if __name__ == "__main__":
    main()
