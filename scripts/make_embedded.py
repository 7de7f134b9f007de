"""Write the embedded subsets: ``python scripts/make_embedded.py ROOT [FOLDER]``.

ROOT is a folder with the full MNIST and Fashion-MNIST (see ``python -m bench.data fetch``). The
files go to FOLDER, by default into the package. Running it twice gives the same bytes; the digests
it prints are those that ``tvae/data/small.py`` holds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tvae.data.full import FASHION_MNIST, MNIST
from tvae.data.small import FOLDER, SIZES, choose, write


def main() -> None:
    """Read the full sets, choose, write, and print the digests."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("root", type=Path, help="a folder with both full data sets")
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER, help="where to write")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for source in (FASHION_MNIST, MNIST):
        name = f"{source.name}_small"
        full = source.load(arguments.root)
        splits = {
            split: choose(getattr(full, split), size, f"{name}/{split}")
            for split, size in SIZES.items()
        }
        path = arguments.folder / f"{name}.npz"
        digest = write(path, splits)
        print(f"{name}: {digest}  {path.stat().st_size:,} bytes in {path}")


if __name__ == "__main__":
    main()
