"""The parts of `make bench`: one module for each thing that is measured, and what they have in common."""
