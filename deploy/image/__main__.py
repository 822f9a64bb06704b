"""`make image`: the container image of the latest bento."""

import argparse
import sys

from bentoml.exceptions import NotFound

from deploy.image.build import build_image
from deploy.image.engine import find_engine
from feature_repo.errors import HoldfastError
from feature_repo.settings import apply_environment, load_settings
from flows.packaging.bento import BENTO_NAME
from flows.packaging.stores import bento_store


def main() -> int:
    """Build, look through, and say what came out."""
    parser = argparse.ArgumentParser(prog="python -m deploy.image", description=__doc__)
    parser.add_argument("--bento", default=f"{BENTO_NAME}:latest")
    parser.add_argument("--image", help="name:tag of the image (default: the bento's)")
    parser.add_argument("--engine", help="docker or podman (default: the first that answers)")
    parser.add_argument("--base-image", help="a Debian with Python 3.11 and pip (default: the one of bentofile.yaml)")
    options = parser.parse_args()
    apply_environment()
    settings = load_settings()
    try:
        bento = bento_store(settings).get(options.bento)
        built = build_image(find_engine(options.engine), settings, bento, options.image, options.base_image)
    except NotFound:
        return _failed(f"There is no bento {options.bento} in {settings.data}: `make run` makes one.")
    except HoldfastError as error:
        return _failed(str(error))
    parts = [f"{size:.0f} MB in /{folder}" for folder, size in sorted(built.megabytes.items()) if size >= 1]
    sys.stdout.write(f"{built.name}: {sum(built.megabytes.values()):.0f} MB unpacked ({', '.join(parts)})\n")
    return 0


def _failed(why: str) -> int:
    sys.stderr.write(f"make image: {why}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
