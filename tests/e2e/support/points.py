"""Points as values that can be compared exactly."""

import numpy as np
from qdrant_client import QdrantClient

PAGE = 500


def bits(vector: object) -> object:
    """A vector (or a mapping of them) by the bits of its single-precision numbers, so that -0.0 differs from 0.0."""
    if isinstance(vector, dict):
        return {name: bits(one) for name, one in sorted(vector.items())}
    return np.asarray(vector, dtype=np.float32).tobytes()


def contents(client: QdrantClient, collection: str, page: int = PAGE) -> list[tuple]:
    """All points in the order of scrolling: id, vector by its bits, payload."""
    found, offset = [], None
    while True:
        records, offset = client.scroll(collection, limit=page, offset=offset, with_vectors=True, with_payload=True)
        found += [(record.id, bits(record.vector), record.payload) for record in records]
        if offset is None:
            return found
        assert len(records) == page, "a page that is not the last is full"
