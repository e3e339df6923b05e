"""What drills and incidents leave behind, so that nobody has to believe us.

    records.py     strict records, canonical JSON, digests
    once.py        objects that are written once
    words.py       durations, sizes and moments for people
    signing.py     Ed25519 signatures
    model.py       the reports: phases, checks, proof per source, measured times
    verdict.py     which checks of a report failed
    report.py      a report as a page for people, and its place in the store
    chain.py       reports chained by hash and signature, and the verifier
    history.py     what past reports say about durations
    summary.py     one row per system: recoverable point, last proof, measured time, copies
"""
