"""Churn prediction library: everything that flows, the service and the commands share.

No Prefect flow and no BentoML service belongs here: see flows/ and services/.
"""

from holdfast.feast_stores.type_checks import skip_feast_type_checks

# Here, because any module of this package may be the first that imports Feast. Feast's own commands keep the checks.
skip_feast_type_checks()
