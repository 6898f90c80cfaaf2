"""What certificates say, read off real ones that are made here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from authority import Holder, issue
from hypothesis import given
from hypothesis import strategies as st

from runbooks_lib.probes.tls import Certificate, covers, read


@pytest.fixture(scope="module")
def root() -> Holder:
    return issue("root", days=900)


@pytest.fixture(scope="module")
def middle(root: Holder) -> Holder:
    return issue("middle", by=root, days=400)


@pytest.fixture(scope="module")
def site(middle: Holder) -> Holder:
    return issue("site", "dataflow.example.com", "*.apps.example.com", by=middle)


def reading(*chain: Holder, key: str | None = None) -> Certificate:
    pem = "".join(holder.pem for holder in chain)
    return read(pem.encode(), (chain[0].key_pem() if key is None else key).encode())


@pytest.mark.parametrize(
    ("name", "host", "covered"),
    [
        ("dataflow.example.com", "dataflow.example.com", True),
        ("Dataflow.Example.com", "dataflow.example.COM.", True),
        ("*.example.com", "dataflow.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", "a.dataflow.example.com", False),
        ("*.example.com", "*.example.com", True),
        ("*.example.com", "*.apps.example.com", False),
        ("*", "localhost", False),
        ("data*.example.com", "dataflow.example.com", False),
        ("dataflow.example.com", "*.example.com", False),
        ("example.com", "dataflow.example.com", False),
        ("*.example.com", ".example.com", False),
        ("", "a", False),
    ],
)
def test_a_star_is_one_label_and_the_first(name: str, host: str, covered: bool) -> None:
    assert covers(name, host) is covered


LABEL = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,5}[a-z0-9])?", fullmatch=True)


@given(st.lists(LABEL, min_size=2, max_size=5), LABEL)
def test_a_star_is_for_every_neighbour_and_for_nobody_above_or_below(labels: list[str], more: str) -> None:
    host = ".".join(labels)
    name = ".".join(["*", *labels[1:]])
    assert covers(host, host)
    assert covers(name, host)
    assert not covers(name, ".".join(labels[1:]))
    assert not covers(name, f"{more}.{host}")


def test_a_certificate_says_for_whom_and_how_long_it_is(site: Holder, middle: Holder) -> None:
    found = reading(site, middle)
    assert found.names == ("dataflow.example.com", "*.apps.example.com")
    assert (found.self_signed, found.chain, found.days()) == (False, "", 90)
    assert found.uncovered(["dataflow.example.com", "a.apps.example.com", "label-studio.example.com"]) == [
        "label-studio.example.com"
    ]
    assert found.days(found.ends + timedelta(hours=1)) == -1
    assert Certificate.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_a_certificate_that_nobody_else_vouches_for(kind: str) -> None:
    alone = issue("alone", "a.example.com", kind=kind)
    assert reading(alone).self_signed


def test_a_certificate_without_names_is_for_nobody() -> None:
    found = reading(issue("dataflow.example.com"))
    assert found.uncovered(["dataflow.example.com"]) == ["dataflow.example.com"]


def test_what_ends_first_of_a_chain_counts_but_a_root_does_not(middle: Holder) -> None:
    short = issue("short", by=middle, days=5)
    site = issue("site", "a.example.com", by=short)
    assert (reading(site, short).days(), reading(site).days()) == (4, 90)
    root = issue("root", days=-0.5)
    assert reading(issue("site", by=root), root).ends > datetime.now(UTC)


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ("s m r", ""),
        ("s m", ""),
        ("s", ""),
        ("s r m", "number 2 of the chain has not issued number 1"),
        ("s m s", "number 3 of the chain has not issued number 2"),
    ],
)
def test_a_chain_goes_upwards(site: Holder, middle: Holder, root: Holder, order: str, said: str) -> None:
    holders = {"s": site, "m": middle, "r": root}
    assert reading(*(holders[letter] for letter in order.split())).chain == said


def test_a_key_is_that_of_the_first_certificate(site: Holder, middle: Holder) -> None:
    with pytest.raises(ValueError, match=r"not the key of the first certificate in tls\.crt$"):
        reading(site, key=middle.key_pem())
    with pytest.raises(ValueError, match="it is that of number 2 of the chain"):
        reading(middle, site, key=site.key_pem())


@pytest.mark.parametrize(
    ("pem", "said"),
    [("", "no certificate in PEM"), ("hello", "no certificate in PEM"), ("broken", "no certificate in PEM")],
)
def test_what_is_no_certificate_is_told(site: Holder, pem: str, said: str) -> None:
    text = site.pem.replace("MI", "??") if pem == "broken" else pem
    with pytest.raises(ValueError, match=said):
        read(text.encode(), site.key_pem().encode())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda site: "", "can't be read"),
        (lambda site: site.pem, "can't be read"),
        (lambda site: site.key_pem()[:90], "can't be read"),
        (lambda site: site.key_pem(b"geheim"), "is encrypted"),
    ],
)
def test_a_key_that_can_not_be_read_is_told_without_it(site: Holder, make: object, said: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=rf"tls\.key {said}") as caught:
        reading(site, key=make(site))
    assert site.key_pem().splitlines()[1] not in str(caught.value)
