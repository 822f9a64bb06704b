"""Creation of MLflow's database and of folders, before several processes use them at once."""

from feature_repo.settings import Settings


def main() -> None:
    """Create the missing parts; two processes that create MLflow's database at the same time fail."""
    from holdfast.training.mlflow_client import open_tracking

    settings = Settings.from_environment()
    settings.evidently.mkdir(parents=True, exist_ok=True)
    open_tracking(settings)


if __name__ == "__main__":
    main()
