"""A CycloneDX document of an image, out of its list of Debian packages.

Usage: sbom_of_image.py IMAGE ID <packages   (each line: name, version, architecture; what `runtime_images/slim` writes)
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

RELEASE = "debian-13"


def component(line: str) -> Component:
    """One package."""
    name, version, architecture = line.split()
    purl = PackageURL("deb", "debian", name, version, {"arch": architecture, "distro": RELEASE})
    return Component(name=name, version=version, purl=purl, bom_ref=str(purl))


def document(image: str, image_id: str, lines: Iterable[str]) -> str:
    """The document as JSON."""
    bom = Bom(components=[component(line) for line in lines if line.strip()])
    bom.metadata.component = Component(name=image, version=image_id, type=ComponentType.CONTAINER, bom_ref=image)
    bom.register_dependency(bom.metadata.component, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=2)


sys.stdout.write(document(sys.argv[1], sys.argv[2], sys.stdin) + "\n")
