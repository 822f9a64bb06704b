"""Made-up exports of real kinds of systems, each with the table that it holds."""
