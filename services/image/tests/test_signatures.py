from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_service.settings import Settings
from image_service.signatures import Signatures, canonical, check_expiry, keys_of
from imagesystem.errors import Rejected
from imagesystem.settings import BadSettings, load

OLD, NEW = b"the-old-key-0123456789", b"the-new-key-0123456789"
SIGNED = Signatures(keys=(NEW, OLD), unsigned="none")


def test_a_signature_is_hmac_sha256_in_base64url():
    digest = hmac.new(NEW, b"/a?b=c", hashlib.sha256).digest()
    assert SIGNED.sign("/a?b=c") == base64.urlsafe_b64encode(digest).decode().rstrip("=")


@pytest.mark.parametrize("key", [OLD, NEW])
def test_any_of_the_keys_may_have_signed(key):
    signature = Signatures(keys=(key,)).sign("/a")
    SIGNED.check("/a", signature, original=False)
    SIGNED.check("/a", signature + "=", original=False)


@pytest.mark.parametrize(
    ("text", "signature", "code"),
    [
        ("/b", SIGNED.sign("/a"), "bad_signature"),
        ("/a", Signatures(keys=(b"another-key-0123456789",)).sign("/a"), "bad_signature"),
        ("/a", SIGNED.sign("/a")[:-1], "bad_signature"),
        ("/a", "", "bad_signature"),
        ("/a", "ünïcödé", "bad_signature"),
        ("/a", None, "signature_required"),
    ],
)
def test_what_is_not_signed_is_refused(text, signature, code):
    with pytest.raises(Rejected) as caught:
        SIGNED.check(text, signature, original=False)
    assert (caught.value.status, caught.value.code) == (403, code)


@pytest.mark.parametrize(
    ("unsigned", "original", "fine"),
    [
        ("all", False, True),
        ("originals", True, True),
        ("originals", False, False),
        ("none", True, False),
    ],
)
def test_what_needs_no_signature(unsigned, original, fine):
    signatures = Signatures(keys=(NEW,), unsigned=unsigned)
    try:
        signatures.check("/a", None, original=original)
        passed = True
    except Rejected:
        passed = False
    assert passed == fine


def test_a_signature_that_is_given_must_hold_even_where_none_is_needed():
    with pytest.raises(Rejected):
        Signatures(keys=(NEW,)).check("/a", "x", original=False)


@given(
    st.permutations(["w=5", "h=6", "text=a%20b", "signature=abc"]),
)
def test_the_order_of_the_query_does_not_matter(pairs):
    assert canonical("/a", "&".join(pairs)) == ("/a?h=6&text=a%20b&w=5", "abc")


def test_the_path_alone():
    assert canonical("/a", "") == ("/a", None)
    assert canonical("/a", "s=x") == ("/a", "x")


def test_expiry():
    check_expiry(None, 100.0)
    check_expiry(101, 100.0)
    with pytest.raises(Rejected) as caught:
        check_expiry(100, 100.0)
    assert (caught.value.status, caught.value.code) == (403, "url_expired")


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"UNSIGNED": "none"}, "SIGNING_KEYS"),
        ({"SIGNING_KEYS": "short"}, "SIGNING_KEYS"),
        ({"UNSIGNED": "some"}, "UNSIGNED"),
        ({"PRESETS": "thumb=widht=5"}, "thumb"),
        ({"PRESETS": "thumb"}, "thumb"),
        ({"PRESETS": "/nowhere/presets.toml"}, "presets.toml"),
        ({"FALLBACK_IMAGE_ID": "nobody"}, "FALLBACK_IMAGE_ID"),
    ],
)
def test_settings_that_cannot_be_are_said_at_the_start(environ, named):
    with pytest.raises(BadSettings) as caught:
        load(Settings, environ)
    assert named in str(caught.value)


def test_keys_stand_between_commas():
    assert keys_of(f"{NEW.decode()}, {OLD.decode()},") == (NEW, OLD)
    assert load(Settings, {"UNSIGNED": "none", "SIGNING_KEYS": NEW.decode()}).unsigned == "none"
