"""Trees as RFC 9162 draws them, and proofs that hold for one leaf at one place only."""

import hashlib

import pytest

from projectone.contracts.merkle import MerkleTree, holds, is_prefix, leaf_hash, node_hash


def leaves(n: int) -> list[bytes]:
    return [f"leaf {i}".encode() for i in range(n)]


def recursive_root(some: list[bytes]) -> bytes:
    """The definition of RFC 9162, section 2.1.1, word for word."""
    if not some:
        return hashlib.sha256(b"").digest()
    if len(some) == 1:
        return leaf_hash(some[0])
    k = 1
    while k * 2 < len(some):
        k *= 2
    return node_hash(recursive_root(some[:k]), recursive_root(some[k:]))


@pytest.mark.parametrize("n", range(34))
def test_the_root_is_that_of_the_definition_and_every_leaf_has_its_proof(n: int) -> None:
    tree = MerkleTree(leaves(n))
    assert tree.root == recursive_root(leaves(n))
    for index, leaf in enumerate(leaves(n)):
        assert holds(leaf, index=index, n_leaves=n, path=tree.path(index), root=tree.root)


def test_a_proof_holds_for_no_other_leaf_place_size_or_path() -> None:
    n, index = 13, 6
    tree = MerkleTree(leaves(n))
    path = tree.path(index)
    leaf = leaves(n)[index]
    assert not holds(b"other", index=index, n_leaves=n, path=path, root=tree.root)
    others = [i for i in range(-1, n + 2) if i != index]
    assert not any(holds(leaf, index=i, n_leaves=n, path=path, root=tree.root) for i in others)
    assert not holds(leaf, index=index, n_leaves=n, path=path[:-1], root=tree.root)
    assert not holds(leaf, index=index, n_leaves=n, path=[*path, path[0]], root=tree.root)
    assert not holds(leaf, index=index, n_leaves=n, path=path[::-1], root=tree.root)


def test_a_node_does_not_pass_for_a_leaf() -> None:
    tree = MerkleTree(leaves(2))
    forged = leaf_hash(leaves(2)[0]) + leaf_hash(leaves(2)[1])
    assert not holds(forged, index=0, n_leaves=1, path=[], root=tree.root)


def test_there_is_no_path_to_a_leaf_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="expected one of 3 leaves, got 3"):
        MerkleTree(leaves(3)).path(3)


def subproof(m: int, some: list[bytes], is_whole: bool) -> list[bytes]:
    """The definition of RFC 9162, section 2.1.4.1, word for word."""
    n = len(some)
    if m == n:
        return [] if is_whole else [recursive_root(some)]
    k = 1
    while k * 2 < n:
        k *= 2
    if m <= k:
        return [*subproof(m, some[:k], is_whole), recursive_root(some[k:])]
    return [*subproof(m - k, some[k:], False), recursive_root(some[:k])]


@pytest.mark.parametrize("n", range(1, 34))
def test_every_earlier_tree_is_shown_to_be_the_beginning_of_a_later_one(n: int) -> None:
    tree = MerkleTree(leaves(n))
    for n_first in range(1, n + 1):
        path = tree.prefix_path(n_first)
        assert path == subproof(n_first, leaves(n), True)
        assert is_prefix(n_first, MerkleTree(leaves(n_first)).root, n, tree.root, path)
    assert is_prefix(0, MerkleTree([]).root, n, tree.root, [])


@pytest.mark.parametrize("n", [2, 7, 8, 13, 16, 21])
def test_a_tree_with_another_leaf_is_the_beginning_of_none(n: int) -> None:
    for n_first in range(1, n):
        seen = MerkleTree(leaves(n_first)).root
        for place in range(n_first):
            other = leaves(n)
            other[place] = b"rewritten"
            tree = MerkleTree(other)
            assert not is_prefix(n_first, seen, n, tree.root, tree.prefix_path(n_first))
        for place in range(n_first, n):  # control: what came later may be anything
            other = leaves(n)
            other[place] = b"later"
            tree = MerkleTree(other)
            assert is_prefix(n_first, seen, n, tree.root, tree.prefix_path(n_first))


def test_a_bent_path_shows_nothing() -> None:
    n, n_first = 21, 6
    tree, seen = MerkleTree(leaves(n)), MerkleTree(leaves(n_first)).root
    path = tree.prefix_path(n_first)
    bent = [path[:-1], path[1:], [*path, path[0]], path[::-1], [], [seen, *path]]
    assert not any(is_prefix(n_first, seen, n, tree.root, other) for other in bent)
    assert not any(
        is_prefix(m, seen, size, tree.root, path) for m, size in ((5, n), (7, n), (n, n_first), (n_first, n_first))
    )
    with pytest.raises(ValueError, match="expected 1 to 3 leaves, got 4"):
        MerkleTree(leaves(3)).prefix_path(4)
