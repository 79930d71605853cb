"""`python -m hexpipe` is the `hexpipe` command."""

from hexpipe.cli.main import main

if __name__ == "__main__":
    main()
