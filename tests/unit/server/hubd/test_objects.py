"""Ids are git's own: each expected id below was given by `git hash-object`, `git mktree` or `git commit-tree`."""

from __future__ import annotations

from projectone.server.hubd.objects import Commit, build_trees, encode_commit, git_id, parse_commit, parse_tree

BLOB = "45b983be36b73c0788dc9cbcb76cbb80fc7bb057"  # printf 'hi\n' | git hash-object --stdin


def test_a_blob_has_gits_id() -> None:
    assert git_id("blob", b"hi\n") == BLOB
    assert git_id("blob", b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def test_the_empty_tree_has_gits_id() -> None:
    assert build_trees({})[0] == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


def test_a_folder_sorts_as_if_its_name_ended_in_a_slash() -> None:
    root, bodies = build_trees({"a-b": BLOB, "a/x": BLOB, "a.b": BLOB})
    assert [name for _, name, _ in parse_tree(bodies[root])] == ["a-b", "a.b", "a"]
    assert root == "926360dd9d79f69c4d1527d7817a1bc9d9306eec"


def test_deep_folders_that_hold_only_folders_are_there() -> None:
    root, bodies = build_trees({"a/b/c/d.txt": BLOB})
    depth, oid = 0, root
    while parse_tree(bodies[oid])[0][0] == "40000":
        depth, oid = depth + 1, parse_tree(bodies[oid])[0][2]
    assert depth == 3


def test_a_commit_has_gits_id_and_reads_back() -> None:
    commit = Commit("926360dd9d79f69c4d1527d7817a1bc9d9306eec", BLOB, "acme", 1_700_000_000, "Title\n\nBody\nmore")
    body = encode_commit(commit)
    assert git_id("commit", body) == "776df7d6bf8fbaaa8620639abf68e93f248365a0"
    assert parse_commit(body) == commit
    assert (commit.title, commit.description) == ("Title", "Body\nmore")


def test_an_authors_name_cannot_forge_another_line() -> None:
    commit = Commit("0" * 40, None, "eve <x>\nauthor root", 1, "m")
    assert parse_commit(encode_commit(commit)).author == "eve xauthor root"
