"""Git repositories: a bundle of all refs, a plain archive, and everything that must be equal after a restore.

    address.py      where a repository is, and which ways there are safe
    environment.py  what git is told, and credentials that only git sees
    tool.py         git as a child process; failures.py: what its failures mean
    refs.py         refs as one moment shows them
    cache.py        the copy of a distant repository that a worker keeps, and makes again when it is lost
    frozen.py       a repository whose refs stand still while it is backed up
    bundle.py       the bundle: a header that lists refs, and a pack
    trees.py        files of a commit, in a repository and in a folder
    lfs.py          what lies outside of git: objects of Git LFS; submodules.py: other repositories
    items.py        everything that is compared
    copy.py         a restored copy; questions.py: what it has to answer
    put_back.py     the refs of a repository as they were, and what they were in between kept aside
"""
