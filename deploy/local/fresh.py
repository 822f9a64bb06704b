"""Starts a server of `make up` once nothing is left of an earlier one: a worker of a killed server keeps its port.

`python -m deploy.local.fresh NAME COMMAND ...`
"""

import os
import sys
from pathlib import Path

from deploy.local.orphans import MARK, PART, end_left_over


def main() -> None:
    """End what the part of that name has left in this data folder, and become the command."""
    name, *command = sys.argv[1:]
    if killed := end_left_over(Path(os.environ[MARK]), name):
        sys.stderr.write(f"Ended {killed} processes that an earlier {name} had left.\n")
    os.environ[PART] = name
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
