"""Expected deployments of prefect.yaml."""

# A second run of these waits; a second run of the other deployments is cancelled.
ENQUEUED = {
    **dict.fromkeys(("backfill", "gates", "ingest", "promote", "recover", "retire", "rollback", "traffic", "train"), 1),
    "rollout": 4,
}


SCHEDULES = {
    "daily": "0 1 * * *",
    "ingest": "0 1 * * *",
    "features": "0 2 * * *",
    "score": None,
    "backfill": None,
    "monitor": "15 * * * *",
    "alerts": "*/5 * * * *",
    "recover": "*/10 * * * *",
    "train": "0 4 * * 1",
    "retrain": None,
    "gates": None,
    "rollout": "*/15 * * * *",
    "promote": None,
    "rollback": None,
    "retire": None,
    "traffic": None,
    "model-card": None,
    "package": None,
    "image": None,
    "lifecycle": None,
}


# Of one model each: schedules after the first, with their parameters.
FURTHER_SCHEDULES = {"train": {"0 5 * * 1": {"model": "spend"}}, "rollout": {"5-59/15 * * * *": {"model": "spend"}}}


SWITCHED_OFF = {"ingest", "features"}  # daily runs both


REQUIRED = {"traffic": {"mode"}, "backfill": {"start", "end"}}  # no default


PARAMETERS = {
    "daily": {"source", "mapping", "dataset", "as_of"},
    "score": {"as_of", "known_at"},
    "backfill": {"start", "end", "every"},
    "monitor": {"as_of", "known_at", "views", "settings"},
    "alerts": {"resolve", "reason"},
    "recover": {"flow_run_id", "rules"},
    "retrain": {"event", "subject", "as_of", "rules", "training", "thresholds", "model"},
    "rollout": {"version", "approval", "rules", "timeout_hours", "model"},
    "image": {"name", "engine", "base_image"},
    "ingest": {"source", "mapping", "dataset", "ingested_at", "replace", "force"},
    "features": {"as_of", "known_at", "apply"},
    "train": {"as_of", "known_at", "training", "thresholds", "definitions", "model", "promote"},
    "gates": {"version", "thresholds", "dry_run", "model"},
    "promote": {"version", "approval", "reason", "timeout_hours", "model"},
    "rollback": {"reason", "to", "leave", "who", "model"},
    "retire": {"definitions", "reason"},
    "traffic": {"mode", "version", "share", "who", "model"},
    "package": set(),
    "model-card": {"version", "model"},
    "lifecycle": {
        "source",
        "mapping",
        "dataset",
        "as_of",
        "training",
        "thresholds",
        "horizon_days",
        "label",
        "grace_days",
        "activity_days",
        "serve",
    },
}
