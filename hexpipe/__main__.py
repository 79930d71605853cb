"""Entry point of `python -m hexpipe`, the same as the `hexpipe` command."""

from hexpipe.cli.main import main

if __name__ == "__main__":
    main()
