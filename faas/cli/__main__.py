"""`python -m faas.cli` is the command `faas`, for processes that know their interpreter but not the PATH."""

from faas.cli import main

main(prog_name="faas")
