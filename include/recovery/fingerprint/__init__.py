"""What a database holds, in a form small enough to keep in a manifest, and what differs between two of them.

    model        the records: fingerprints, differences, the verdict
    columns      how a column enters the hash, so that equal means equal bytes
    row_hash     the SQL that hashes whole rows, in two seeds, in any order
    session      read-only sessions on one snapshot, with every setting pinned that shows in text
    tables       which tables there are, which are compared, and what forbids it
    large_objects, sequences, access    the other things that hold state
    definition_queries, object_queries, definitions    normalised definitions of everything, per schema
    measure      fingerprint a database
    compare, table_differences    compare two fingerprints: what differs, in sentences
    differing_rows       which rows differ, where both databases can be reached

``measure``, ``measure_like`` and ``compare`` are what others use.
"""
