"""`python -m survival` is the `survival` command."""

from survival.cli import main

main()
