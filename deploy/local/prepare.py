"""What must be there before several processes use it at once: MLflow's database, and the folders."""

from feature_repo.settings import load_settings


def main() -> None:
    """Create what is missing; two processes that create MLflow's database together fail."""
    from holdfast.training.mlflow_tracking import open_tracking

    settings = load_settings()
    settings.evidently.mkdir(parents=True, exist_ok=True)
    open_tracking(settings)


if __name__ == "__main__":
    main()
