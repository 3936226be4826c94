"""Names: which are accepted, and what is derived from them."""

import re

import pytest

from yolo_crds.meta import (
    Stage,
    attempt_token,
    gang_name,
    job_name,
    normalize_model_name,
    object_name,
    rendezvous_name,
)

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")


@pytest.mark.parametrize(
    "name",
    ["ab", "helmet", "Helmet_v1.2", "安全帽 检测", "naïve-é", "a b", "x" * 128, "模" * 66, "-dash", "_under"],
)
def test_normalize_model_name_accepts(name: str) -> None:
    assert normalize_model_name(name) == name


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("", "2 to 128 characters, this one has 0"),
        ("a", "2 to 128 characters, this one has 1"),
        ("x" * 129, "this one has 129"),
        ("模" * 67, "at most 200 bytes of UTF-8, this one has 201"),
        (".hidden", "neither begins nor ends with a blank or a dot"),
        ("end.", "neither begins nor ends with a blank or a dot"),
        (" lead", "neither begins nor ends with a blank or a dot"),
        ("tail ", "neither begins nor ends with a blank or a dot"),
        ("a..b", "contains no '..'"),
        ("a/b", "'/' is none"),
        ("a\\b", "is none"),
        ("a\nb", "is none"),
        ("a;rm -rf b", "';' is none"),
        ("$(id)x", "'$' is none"),
        ("a\x00b", "is none"),
    ],
)
def test_normalize_model_name_refuses(name: str, want: str) -> None:
    with pytest.raises(ValueError, match=re.escape(want)):
        normalize_model_name(name)


def test_normalize_model_name_composes() -> None:
    decomposed = "nai\u0308ve"
    assert normalize_model_name(decomposed) == "naïve"
    assert object_name(decomposed) == object_name("naïve")


@pytest.mark.parametrize("name", ["ab", "helmet-v1", "x" * 40, "0day"])
def test_object_name_keeps_a_dns_label(name: str) -> None:
    assert object_name(name) == name


@pytest.mark.parametrize(
    ("name", "want_slug"),
    [
        ("Helmet v1", "helmet-v1"),
        ("安全帽", "model"),
        ("y" * 41, "y" * 29),
        ("a.b_c", "a-b-c"),
        ("Éclair 2", "eclair-2"),
    ],
)
def test_object_name_derives_a_readable_label(name: str, want_slug: str) -> None:
    derived = object_name(name)
    slug, _, digest = derived.rpartition("-")
    assert slug == want_slug
    assert re.fullmatch("[0-9a-f]{10}", digest)
    assert _DNS_LABEL.match(derived)
    assert len(derived) <= 40


def test_object_name_tells_similar_names_apart() -> None:
    names = ["Helmet", "HELMET", "helmet.", "hel met", "hel_met", "hel-met"]
    derived = {object_name(name) for name in names if name != "helmet."}
    assert len(derived) == len(names) - 1


def test_job_name_fits_a_label() -> None:
    longest = job_name("x" * 40, 99_999, 99_999, Stage.PREPARE)
    assert len(longest) <= 63
    assert job_name("helmet", 2, 3, Stage.TRAIN) == "helmet-r2a3-train"


def test_attempt_token_differs_for_objects_of_one_name() -> None:
    first = attempt_token("11111111-aaaa", 1, 1)
    assert first == "11111111-r1a1"
    assert first != attempt_token("22222222-aaaa", 1, 1)


@pytest.mark.parametrize("name", ["helmet", "0day", "x" * 40])
def test_gang_name_is_one_that_a_service_may_have(name: str) -> None:
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", gang_name(name))


def test_rendezvous_name_is_that_of_the_first_pod_below_the_service() -> None:
    assert rendezvous_name("helmet", 2, 3) == "helmet-r2a3-train-0.gang-helmet"
    pod, _ = rendezvous_name("x" * 40, 99_999, 9999).split(".")
    assert len(f"{pod}5") <= 63, "the pod with index 15 has a host name too"
