"""The functions that `faas demo` deploys: one of each runtime, and what each must return."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Example:
    """A function and a call of it.

    Attributes:
        expected: the result of a call with `payload`.
    """

    name: str
    runtime: str
    handler: str
    source: str
    payload: Any
    expected: Any


EXAMPLES = (
    Example(
        "demo-python",
        "python",
        "main.handler",
        """\
def handler(event, context):
    print("adding", event["numbers"])
    return {"sum": sum(event["numbers"])}
""",
        {"numbers": [1, 2, 3]},
        {"sum": 6},
    ),
    Example(
        "demo-nodejs",
        "nodejs",
        "index.handler",
        """\
exports.handler = async (event, context) => {
  console.log("greeting", event.name);
  return { greeting: `Hello, ${event.name}!` };
};
""",
        {"name": "Ada"},
        {"greeting": "Hello, Ada!"},
    ),
    Example(
        "demo-go",
        "go",
        "main",
        """\
package main

import "fmt"

func main() {
	fmt.Println("Hello, FaaS!")
}
""",
        {},
        "Hello, FaaS!",
    ),
)
