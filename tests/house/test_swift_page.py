"""What docs/swift.md tells another client's author: every type, path, field and vector that it names is there."""

from __future__ import annotations

import json
import re

from tests.conformance.make_vectors import TOPICS
from tests.conftest import REPOSITORY

DOCS = REPOSITORY / "docs"
TEXT = (DOCS / "swift.md").read_text()
OPENAPI = json.loads((DOCS / "contracts" / "openapi.json").read_text())
# What a device sends or believes: whoever builds one needs each.
NEEDED = {
    "Enrolment", "EnrolmentReceipt", "ConsentReceipt", "ConsentText", "Correction", "AudioClip", "UploadReceipt",
    "IntentCorrection",
    "Problem", "SampleDeletion", "SampleState", "SignedScripts", "SignedErasure", "SignedUses", "MembershipProof",
    "ReleaseManifest", "ReleaseNotes", "ReleaseOffer", "ReleaseUpdate", "LatestModelInfo",
    "RolloutPlan", "RolloutState",
    "HealthReport", "TicketRequest", "TicketAnswer", "QualityReport", "QualityTicketRequest", "QualityWeek",
}  # fmt: skip


def test_every_contract_it_names_is_there_under_its_name() -> None:
    named = re.findall(r"\[(\w+)\]\(contracts/(\w+)\.schema\.json\)", TEXT)
    assert all(shown == file for shown, file in named)
    for name in {file for _, file in named}:
        assert json.loads((DOCS / "contracts" / f"{name}.schema.json").read_text())["title"] == name
    assert {file for _, file in named} >= NEEDED


def test_every_path_it_names_is_served() -> None:
    named = set(re.findall(r"`(GET|PUT|POST|DELETE) (/[^`\s]*)`", TEXT))
    served = {(method.upper(), path) for path, methods in OPENAPI["paths"].items() for method in methods}
    assert named <= served
    assert len(named) >= 12


def test_every_vector_is_named_at_the_step_that_needs_it() -> None:
    named = set(re.findall(r"`([a-z]+/[a-z*]+)`", TEXT))
    assert {topic.name for topic in TOPICS} | {"updates/*"} <= named
    unknown = {name for name in named if not (REPOSITORY / "tests/conformance/vectors" / name.split("/")[0]).is_dir()}
    assert unknown == set()


def test_every_file_it_links_to_is_there() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", TEXT):
        assert (DOCS / link).exists(), link


def test_it_says_first_what_was_not_run() -> None:
    assert TEXT.index("Nothing on this page was run on a Mac") < TEXT.index("## 1.")
