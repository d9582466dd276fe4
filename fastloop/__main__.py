"""`python -m fastloop` is the command line."""

from fastloop.cli import main

main(prog_name="fastloop")
