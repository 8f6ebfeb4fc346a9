"""One collection twice: in the server, and in the client's local mode.

Every change is made in both and has to end in the same way, and every read is made of both and has to have the same answer. Where the
two differ, the test fails with the answers and with what was done before; a filter is made as small as it can be while it differs.
"""

import json
from collections.abc import Callable
from copy import deepcopy
from random import Random

import numpy as np
import pytest
from qdrant_client import QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from support import random_filters
from support.points import bits
from support.random_changes import Changes, Shape, ask
from support.random_payloads import path, point_id, point_ids
from support.server import Server

COLLECTION = "twin"
MOST = 10_000
WIDEST_INTEGER = 2**63 - 1
STARTS = [None, None, 1, 1.5, -1, "2020-03-01T00:00:00Z"]


def rendered(value: object) -> str:
    """A JSON value as a text that tells 1, 1.0 and true apart, and 0.0 and -0.0; the order of keys makes no difference."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def told(operation: object) -> str:
    """An operation as it can be read in a report."""
    return operation.model_dump_json(exclude_none=True) if hasattr(operation, "model_dump_json") else str(operation)


class Twins:
    """The two, what was done to both, and how much was compared. `left_out` says which filters are not drawn."""

    def __init__(self, server: Server, seed: int, shape: Shape, left_out: Callable[[dict], bool]):
        self.draw = Random(seed)
        self._left_out = left_out
        self.server, self.shape = server, shape
        self.clients = [server.client(), QdrantClient(":memory:")]
        self.history: list[str] = [f"seed {seed}"]
        self.compared = self.skipped = self.refused = self.some = 0
        self.changes = Changes(self.draw, shape, self.filter)
        for client in self.clients:
            client.create_collection(
                COLLECTION, vectors_config=shape.vectors, sparse_vectors_config=shape.sparse or None, shard_number=shape.shards
            )

    def filter(self) -> dict:
        """A filter that no rule leaves out."""
        while self._left_out(found := random_filters.random_filter(self.draw, self.shape.names())):
            self.skipped += 1
        return found

    def restart(self) -> None:
        """Kills the server and starts it again."""
        self.history.append("kill -9, start")
        self.server.kill()
        self.server.start()
        self.clients[0] = self.server.client()

    def fail(self, what: str, ours: object, local: object) -> None:
        history = "\n".join(line[:2000] for line in self.history[:1] + self.history[-12:])
        pytest.fail(f"{what}\nserver: {ours}\nlocal:  {local}\nafter {history}", pytrace=False)

    def change(self, operations: list[models.UpdateOperation], alone: bool) -> None:
        """Makes a change in both: a batch, or one operation by its own method. It succeeds in both, or in neither."""
        self.history.append(("" if alone else "batch ") + "; ".join(map(told, operations)))
        ends = [self._end(client, deepcopy(operations), alone) for client in self.clients]
        if ends[0][0] != ends[1][0]:
            self.fail("a change ends differently", *ends)
        self.refused += ends[0][0] != "made"

    def _end(self, client: QdrantClient, operations: list, alone: bool) -> tuple[str, str]:
        """How a change ends, with the reason."""
        try:
            if alone:
                ask(client, COLLECTION, operations[0])
            else:
                client.batch_update_points(COLLECTION, operations, wait=True)
        except UnexpectedResponse as error:
            return {404: "missing", 400: "invalid", 422: "invalid"}[error.status_code], error.content.decode()
        except KeyError as error:
            return "missing", repr(error)
        except ValueError as error:
            return "invalid", repr(error)
        return "made", ""

    def both(self, read: Callable[[QdrantClient], object]) -> list:
        self.compared += 1
        return [read(client) for client in self.clients]

    def equal_records(self, what: str, answers: list[list[models.Record]]) -> None:
        """The same points in the same order with the same contents."""
        for ours, local in zip(*answers):
            left, right = [(one.id, rendered(one.payload), type(one.order_value), one.order_value) for one in (ours, local)]
            if left != right:
                self.fail(what, left, right)
            if not self.equal_vectors(ours.vector, local.vector):
                self.fail(f"{what}: vectors of {ours.id}", ours.vector, local.vector)
        if len(answers[0]) != len(answers[1]):
            self.fail(what, *([one.id for one in answer] for answer in answers))
        self.some += len(answers[0]) > 0

    def equal_vectors(self, ours: object, local: object) -> bool:
        """Bit for bit; those of cosine as near as rounding lets them be."""
        if isinstance(ours, models.SparseVector) or isinstance(local, models.SparseVector):
            return type(ours) is type(local) and ours.indices == local.indices and bits(ours.values) == bits(local.values)
        if isinstance(ours, dict) and isinstance(local, dict):
            # The name decides how exact the equality is.
            return ours.keys() == local.keys() and all(self._equal_vector(name, ours[name], local[name]) for name in ours)
        return type(ours) is type(local) and (ours is None or self._equal_vector("", ours, local))

    def _equal_vector(self, name: str, ours: object, local: object) -> bool:
        if name in self.shape.sparse:
            return self.equal_vectors(ours, local)
        if np.shape(ours) != np.shape(local):
            return False
        if self.shape.dense()[name].distance == models.Distance.COSINE:
            return np.allclose(ours, local, rtol=0, atol=1e-6)
        return bits(ours) == bits(local)

    # --- What is compared.

    def everything(self) -> None:
        """All points with all that they have."""
        read = lambda client: client.scroll(COLLECTION, limit=MOST, with_payload=True, with_vectors=True)[0]  # noqa: E731
        self.equal_records("scroll of everything", self.both(read))
        ours, local = self.both(lambda client: client.count(COLLECTION, exact=True).count)
        if ours != local:
            self.fail("count of everything", ours, local)

    def matches(self) -> None:
        """The ids that a filter finds; where they differ, the smallest filter of which they do."""
        filter = self.filter()

        def ids(filter: dict) -> list[list]:
            given = models.Filter.model_validate(filter)
            read = lambda client: client.scroll(COLLECTION, given, limit=MOST, with_payload=False)[0]  # noqa: E731
            return [[one.id for one in answer] for answer in self.both(read)]

        ours, local = ids(filter)
        if ours == local:
            self.some += len(ours) > 0
            return
        while (less := next((one for one in random_filters.smaller(filter) if len(set(map(str, ids(one)))) > 1), None)) is not None:
            filter = less
        ours, local = ids(filter)
        odd = self.clients[1].retrieve(COLLECTION, list(set(ours) ^ set(local))[:2])
        self.fail(f"filter {rendered(filter)} on {[rendered(one.payload) for one in odd]}", ours, local)

    def pages(self) -> None:
        """Pages of what a filter finds, with parts of payloads and some vectors."""
        draw = self.draw
        filter = models.Filter.model_validate(self.filter()) if draw.random() < 0.6 else None
        limit, offset = draw.randint(1, 9), point_id(draw) if draw.random() < 0.5 else None
        paths = [path(draw) for _ in range(draw.randint(0, 3))]
        selectors = [models.PayloadSelectorInclude(include=paths), models.PayloadSelectorExclude(exclude=paths)]
        parts = draw.choice([True, False, paths, *selectors])
        names = draw.choice([True, False, draw.sample(self.shape.names(), 1)])
        what = f"page of {limit} from {offset} with {told(parts)} and {names} of {filter and told(filter)}"
        for _ in range(2):
            read = lambda client: client.scroll(COLLECTION, filter, limit, None, offset, parts, names)  # noqa: E731
            ours, local = self.both(read)
            self.equal_records(what, [ours[0], local[0]])
            if ours[1] != local[1]:
                self.fail(f"{what}: next page", ours[1], local[1])
            if (offset := ours[1]) is None:
                return

    def retrieved(self) -> None:
        """Points by id, also such as are missing, and the same twice."""
        ids = point_ids(self.draw, 12)
        ours, local = self.both(lambda client: client.retrieve(COLLECTION, ids, with_vectors=True))
        once = {str(one.id): one for one in local}
        self.equal_records(f"points {ids}", [ours, list(once.values())])

    def counted(self) -> None:
        """How many points a filter finds."""
        filter = models.Filter.model_validate(self.filter())
        ours, local = self.both(lambda client: client.count(COLLECTION, filter, exact=True).count)
        if ours != local:
            self.fail(f"count of {told(filter)}", ours, local)

    def facets(self) -> None:
        """How many points have which values."""
        draw = self.draw
        key, limit = path(draw), draw.choice([1, 3, 10, 100])
        filter = models.Filter.model_validate(self.filter()) if draw.random() < 0.3 else None
        # All of the local mode, because `wide_integers` do not count.
        limits = {id(self.clients[0]): limit, id(self.clients[1]): MOST}
        read = lambda client: client.facet(COLLECTION, key, filter, limits[id(client)], exact=True).hits  # noqa: E731
        counted = [[hit for hit in hits if not wide_integer(hit.value)] for hits in self.both(read)]
        ours, local = [[(rendered(hit.value), hit.count) for hit in hits] for hits in counted]
        if ours != local[:limit]:
            self.fail(f"facets of {key} within {filter and told(filter)}", ours, local[:limit])
        self.some += len(ours) > 0

    def ordered(self) -> None:
        """Points in the order of their values."""
        draw = self.draw
        key, limit = path(draw), draw.choice([1, 3, 10, MOST])
        start = draw.choice(STARTS)
        order = models.OrderBy(key=key, direction=draw.choice([None, *models.Direction]), start_from=start)
        filter = models.Filter.model_validate(self.filter()) if draw.random() < 0.3 else None
        limits = {id(self.clients[0]): limit, id(self.clients[1]): MOST}
        read = lambda client: client.scroll(COLLECTION, filter, limits[id(client)], order)[0]  # noqa: E731
        ours, local = self.both(read)
        for one in local:
            one.order_value = float(one.order_value) if wide_integer(one.order_value) else one.order_value
        descending = order.direction == models.Direction.DESC
        local.sort(key=lambda one: (one.order_value, isinstance(one.id, str), one.id), reverse=descending)
        self.equal_records(f"order by {told(order)} within {filter and told(filter)}", [ours, local[:limit]])

    def look(self) -> None:
        """Everything, and some of what else can be read."""
        self.everything()
        self.retrieved()
        for read in [self.matches, self.matches, self.matches, self.pages, self.counted, self.facets, self.ordered]:
            read()


def wide_integer(value: object) -> bool:
    return isinstance(value, int) and value > WIDEST_INTEGER
