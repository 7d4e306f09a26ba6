"""Runs in the peers' environment: clusters texts by a library's MinHash; prints one JSON line.

usage: python minhash_peer.py datasketch|rensa TEXTS.json SHINGLE PERMUTATIONS BANDS THRESHOLD
"""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path


def main() -> None:
    """Cluster the texts and print seconds of one processor and a label for each text."""
    who, path, *numbers = sys.argv[1:]
    width, permutations, bands = map(int, numbers[:3])
    threshold = float(numbers[3])
    texts = json.loads(Path(path).read_text("utf-8"))
    pairs = {"datasketch": datasketch_pairs, "rensa": rensa_pairs}[who]
    start = time.process_time()
    shingles = [sorted({text[i : i + width] for i in range(max(len(text) - width, 0) + 1)}) for text in texts]
    labels = join(len(texts), pairs(shingles, permutations, bands, threshold))
    print(json.dumps({"seconds": time.process_time() - start, "labels": labels}))


def datasketch_pairs(
    shingles: list[list[str]], permutations: int, bands: int, threshold: float
) -> Iterator[tuple[int, int]]:
    """Yield pairs that share a band and whose signatures agree."""
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(params=(bands, permutations // bands), num_perm=permutations)
    signs = MinHash.bulk(([piece.encode() for piece in pieces] for pieces in shingles), num_perm=permutations)
    for number, sign in enumerate(signs):
        for other in index.query(sign):
            if sign.jaccard(signs[other]) >= threshold:
                yield other, number
        index.insert(number, sign)


def rensa_pairs(
    shingles: list[list[str]], permutations: int, bands: int, threshold: float
) -> Iterator[tuple[int, int]]:
    """Yield pairs that share a band and whose signatures agree."""
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(threshold, permutations, bands)
    signs = RMinHash.from_token_sets(shingles, permutations, 1)
    index.insert_many(signs)
    for number, found in enumerate(index.query_all(signs)):
        for other in found:
            if other < number and signs[number].jaccard(signs[other]) >= threshold:
                yield other, number


def join(count: int, pairs: Iterator[tuple[int, int]]) -> list[int]:
    """Return for each text the least text of its cluster."""
    parents = list(range(count))

    def root(place: int) -> int:
        while parents[place] != place:
            parents[place] = parents[parents[place]]
            place = parents[place]
        return place

    for one, other in pairs:
        least, most = sorted((root(one), root(other)))
        parents[most] = least
    return [root(place) for place in range(count)]


if __name__ == "__main__":
    main()
