"""Options that commands share."""

from typing import Annotated

import typer

ModelOption = Annotated[str, typer.Option("--model", help="The model, as declared in feature_repo/models.")]
