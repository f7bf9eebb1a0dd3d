"""python -m journy_track"""

from journy_track.cli import main

if __name__ == "__main__":
    main()
