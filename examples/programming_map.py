"""Which algorithm learns weights on devices with few states and wrong references: a map.

Tiki-Taka needs a fast device that shows 0 where its up and down steps are equal. To arrange this, a
reference is programmed for every device, and never exactly. Here plain gradient descent and four
algorithms of the Tiki-Taka family learn random weights in +-0.3, on devices between -1 and 1, while
references scatter more and more and steps become larger. Ends in a map for each algorithm.

Run it: python programming_map.py. It takes about 90 s on two cores, and writes programming_map.png.
"""

import os

import numpy as np

from rpusim.studies.programming_map import programming_map

if os.environ.get("RPUSIM_SHORT"):
    MAP = {"offsets": (0.0, 0.4), "states": (20, 200), "vectors": 3000, "replicas": 1}
else:
    MAP = {}


def main():
    """Draw the map and say what it shows; processes that help with it read this file, too."""
    found = programming_map(processes=os.cpu_count() or 1, **MAP)
    found.picture().savefig("programming_map.png", dpi=200)

    # Geometric means over the numbers of states, for exact and for the most wrong references.
    error = np.exp(np.log(found.error).mean(axis=2))
    for name, over_offset in zip(found.algorithms, error, strict=True):
        exact, wrong = over_offset[0], over_offset[-1]
        print(f"{name:7}: weights wrong by {exact:.3f}, by {wrong:.3f} with wrong references")

    last = dict(zip(found.algorithms, error[:, -1], strict=True))
    print(
        f"With references that scatter by {found.offsets[-1]:g} (weights that stay 0 are wrong by"
    )
    print("0.173): a buffer alone (TTv2) adds up all that the fast device shows, right or wrong.")
    print("Choppers turn its sign, so that most of it averages out; AGAD subtracts what it saw of")
    print("it before. The picture is programming_map.png. Compared with the buffer alone, weights")
    print(
        f"are {last['TTv2'] / last['c-TTv2']:.1f} times better with choppers, "
        f"{last['TTv2'] / last['AGAD']:.1f} times with AGAD"
    )


if __name__ == "__main__":
    main()
