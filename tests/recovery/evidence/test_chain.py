"""The chain shows every change to evidence: each sabotage is found and named."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from include.recovery.evidence.chain import verify
from include.recovery.evidence.report import store_report
from include.recovery.evidence.signing import Signer, Verifier


@pytest.fixture
def reports(store, signer, drill, incident, now):
    made = [drill(), incident(), drill(run="later", started_at=now + timedelta(days=7))]
    return [store_report(store, signer, report, now) for report in made]


def test_an_untouched_chain_holds(store, signer, reports):
    found = verify(store, Verifier.from_pems([signer.public_pem]), "labdojo")
    assert (found.links, found.problems) == (3, ())


def test_an_empty_chain_holds(store, signer):
    assert verify(store, signer.verifier, "labdojo").links == 0


def edit(store, key, old, new):
    content, _ = store.get(key)
    assert old in content
    store.put(key, content.replace(old, new))


def test_a_changed_report(store, signer, reports):
    edit(store, reports[1].key, b'"passed"', b'"failed"')
    assert verify(store, signer.verifier, "labdojo").problems == (
        f"{reports[1].key}: changed since link 2 was written",
    )


def test_a_changed_page(store, signer, reports):
    edit(store, reports[0].page, b"Proven", b"proven")
    assert verify(store, signer.verifier, "labdojo").problems == (
        f"{reports[0].page}: changed since link 1 was written",
    )


def test_a_removed_report(store, signer, reports):
    store.delete(reports[0].key)
    assert verify(store, signer.verifier, "labdojo").problems == (f"{reports[0].key}: missing, but link 1 names it",)


def test_a_changed_link(store, signer, reports):
    edit(store, reports[1].link, b"2026-11-22T04:00:00Z", b"2026-11-22T05:00:00Z")
    assert verify(store, signer.verifier, "labdojo").problems == (
        f"{reports[1].link}: the signature does not hold",
        f"{reports[2].link}: the link before it is not the one it was chained to",
    )


def test_a_removed_link(store, signer, reports):
    store.delete(reports[1].link)
    problems = verify(store, signer.verifier, "labdojo").problems
    assert f"{reports[2].link}: the link before it is missing" in problems
    assert f"{reports[1].key}: no link of the chain names this report" in problems


def test_a_link_that_is_not_readable(store, signer, reports):
    store.put(reports[1].link, b"{}")
    assert any("not a readable link" in p for p in verify(store, signer.verifier, "labdojo").problems)


def test_a_link_moved_from_another_system(store, signer, reports):
    content, _ = store.get(reports[0].link)
    store.put("aiaas/evidence/00000001.json", content)
    assert verify(store, signer.verifier, "aiaas").problems == (
        "aiaas/evidence/00000001.json: it says that it is link 1 of labdojo",
    )


def test_an_inserted_report(store, signer, reports, drill):
    store.put("labdojo/drills/20261201T000000Z-weekly-x.json", drill().model_dump_json().encode())
    assert verify(store, signer.verifier, "labdojo").problems == (
        "labdojo/drills/20261201T000000Z-weekly-x.json: no link of the chain names this report",
    )


def test_another_key(store, reports):
    problems = verify(store, Signer.generate().verifier, "labdojo").problems
    assert problems == tuple(f"{report.link}: the signature does not hold" for report in reports)


def test_runs_that_end_together_line_up(store, signer, drill, now):
    made = [drill(run=f"run-{n}") for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        links = {stored.link for stored in pool.map(lambda report: store_report(store, signer, report, now), made)}
    assert len(links) == 8
    assert verify(store, signer.verifier, "labdojo").problems == ()


def test_links_are_plain_json(store, reports):
    link = json.loads(store.get(reports[0].link)[0])["link"]
    assert set(link["objects"]) == {reports[0].key, reports[0].page}
