"""`python -m sentilora`."""

from sentilora.cli import main

if __name__ == "__main__":
    main()
