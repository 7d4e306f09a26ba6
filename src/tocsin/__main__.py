"""`python -m tocsin`."""

from tocsin.cli import main

if __name__ == "__main__":  # processes that are started by function import this file too
    main()
