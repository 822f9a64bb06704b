"""`make image`: the container image of the latest bento."""

import argparse
import sys

from feature_repo.settings import apply_environment, load_settings
from holdfast.container_image.build import LATEST, build_latest
from holdfast.core.errors import HoldfastError


def main() -> int:
    """Build, look through, and say what came out."""
    parser = argparse.ArgumentParser(prog="python -m deploy.image", description=__doc__)
    parser.add_argument("--bento", default=LATEST)
    parser.add_argument("--image", help="name:tag of the image (default: the bento's)")
    parser.add_argument("--engine", help="docker or podman (default: the first that answers)")
    parser.add_argument("--base-image", help="a Debian with Python 3.11 and pip (default: the one of bentofile.yaml)")
    options = parser.parse_args()
    apply_environment()
    settings = load_settings()
    try:
        built = build_latest(settings, options.image, options.engine, options.base_image, options.bento)
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
