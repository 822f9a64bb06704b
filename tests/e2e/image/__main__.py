"""Run of the tests marked ``image``: `make test-image`."""

import sys

from tests.support.image_test_run import main

if __name__ == "__main__":
    sys.exit(main())
