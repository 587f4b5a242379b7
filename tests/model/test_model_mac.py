"""Hardware addresses."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from dp3.model.mac import MACAddress

packed = st.binary(min_size=6, max_size=6)


class Host(BaseModel):
    mac: MACAddress


@settings(deadline=None)
@given(packed)
def test_all_forms_of_one_address_are_equal(raw: bytes) -> None:
    mac = MACAddress(raw)
    text = str(mac)
    others: list[str | bytes | MACAddress] = [text, text.upper(), text.replace(":", "-"), text.encode(), mac]
    assert {MACAddress(other) for other in others} == {mac}
    assert mac.mac == mac.packed == bytes(mac) == raw


def test_text_is_lower_case_with_colons() -> None:
    assert str(MACAddress("AA-BB-CC-DD-EE-0F")) == "aa:bb:cc:dd:ee:0f"
    assert repr(MACAddress("AA-BB-CC-DD-EE-0F")) == "MACAddress(aa:bb:cc:dd:ee:0f)"


@pytest.mark.parametrize(
    "text", ["", "aabbccddeeff", "aa:bb:cc:dd:ee-ff", "aa:bb:cc:dd:ee:fg", "aa:bb:cc:dd:ee:ff\n"]
)
def test_wrong_text_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="must look like aa:bb:cc:dd:ee:ff"):
        MACAddress(text)


@pytest.mark.parametrize("value", [5, None, [], bytearray(6)])
def test_wrong_type_is_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match="must be given as text or 6 bytes"):
        MACAddress(value)


def test_address_is_a_pydantic_field_written_as_text() -> None:
    host = Host.model_validate({"mac": "AA-BB-CC-DD-EE-FF"})
    assert host.model_dump_json() == '{"mac":"aa:bb:cc:dd:ee:ff"}'
    assert Host.model_json_schema()["properties"]["mac"]["type"] == "string"


@pytest.mark.parametrize("value", ["x", 5])
def test_wrong_field_value_is_a_validation_error(value: Any) -> None:
    with pytest.raises(ValidationError):
        Host.model_validate({"mac": value})


def test_address_differs_from_its_text() -> None:
    assert MACAddress("aa:bb:cc:dd:ee:ff") != "aa:bb:cc:dd:ee:ff"
