"""The server's own description of its operations, and whether an answer is as it says."""

import jsonschema
import requests
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

METHODS = ("get", "post", "put", "patch", "delete")
ROOT = "urn:description"
TIMEOUT = 60


class Described:
    """A server's description, which knows its operations by their ids."""

    def __init__(self, url: str):
        self.url = url
        self.document = requests.get(f"{url}/openapi.json", timeout=TIMEOUT).json()
        self.operations = {
            operation["operationId"]: (method.upper(), path, operation)
            for path, item in self.document["paths"].items()
            for method, operation in item.items()
            if method in METHODS
        }
        resource = Resource(contents=self.document, specification=DRAFT202012)
        self._registry = Registry().with_resource(ROOT, resource)

    def ids(self, status: int) -> list[str]:
        """The operations that may answer with this status."""
        return [id for id, (_, _, operation) in self.operations.items() if str(status) in operation["responses"]]

    def parameters(self, id: str) -> list[str]:
        """The parameters in the path of an operation."""
        return [part[1:-1] for part in self.operations[id][1].split("/") if part.startswith("{")]

    def call(self, operation: str, /, *, body: object = None, query: dict | None = None, **arguments) -> requests.Response:
        """Makes the request of an operation, and compares the answer. What the path has in braces comes by name from `arguments`;
        the rest of them goes to `requests`."""
        method, path, _ = self.operations[operation]
        filled = path.format(**{name: requests.utils.quote(str(arguments.pop(name)), safe="") for name in self.parameters(operation)})
        response = requests.request(method, self.url + filled, json=body, params=query, timeout=TIMEOUT, **arguments)
        self.compare(operation, response)
        return response

    def result(self, operation: str, /, **arguments) -> object:
        """The result of a request that has to succeed."""
        response = self.call(operation, **arguments)
        assert response.status_code == 200, (operation, response.status_code, response.text)
        return response.json()["result"]

    def compare(self, id: str, response: requests.Response) -> None:
        """Holds an answer to the description: its status, its type, and its content where it is JSON."""
        status = str(response.status_code)
        responses = self.operations[id][2]["responses"]
        assert status in responses, f"{id} answered {status}, which is not described: {response.text[:500]}"
        described = responses[status]
        if "$ref" in described:
            described = self.document["components"]["responses"][described["$ref"].rsplit("/", 1)[1]]
        content = described.get("content")
        if not content:
            assert not response.content, (id, status, response.content[:500])
            return
        media = response.headers["content-type"].split(";")[0]
        assert media in content, (id, status, media)
        if media == "application/json":
            self.valid(content[media]["schema"], response.json())

    def valid(self, schema: dict, value: object) -> None:
        """Whether a value is as a schema of the description says."""
        jsonschema.Draft202012Validator(absolute(schema), registry=self._registry).validate(value)


def absolute(schema: object) -> object:
    """The schema with references that can be followed from outside of the document."""
    if isinstance(schema, dict):
        return {
            key: ROOT + value if key == "$ref" else absolute(value)
            for key, value in schema.items()
        }
    return [absolute(value) for value in schema] if isinstance(schema, list) else schema
