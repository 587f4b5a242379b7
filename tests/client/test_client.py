"""The client for primary modules, against a real HTTP server."""

import json
import socket
import subprocess
import sys
import traceback
from datetime import UTC, datetime, timedelta, timezone
from ipaddress import IPv4Address

import pytest

from dp3.client import Client, ClientError, Refused, Retry, ServerError, Unavailable

POINT = {"type": "host", "id": "web-1", "attr": "os", "v": "Debian"}


@pytest.fixture
def client(platform, fake_time):
    return Client(platform.url, timeout_s=5, sleep=fake_time.sleep, monotonic=fake_time.monotonic)


def test_all_datapoints_go_in_one_request(client, platform):
    client.send(iter([POINT, POINT]))
    [request] = platform.requests
    assert (request.method, request.target) == ("POST", "/datapoints")
    assert json.loads(request.body) == [POINT, POINT]


def test_dates_and_addresses_are_written_as_the_api_reads_them(client, platform):
    east = timezone(timedelta(hours=2))
    client.send(
        [{"t1": datetime(2020, 1, 1), "t2": datetime(2020, 1, 1, tzinfo=east), "v": IPv4Address("1.0.0.1")}]
    )
    [point] = json.loads(platform.requests[0].body)
    assert point == {"t1": "2020-01-01T00:00:00+00:00", "t2": "2020-01-01T00:00:00+02:00", "v": "1.0.0.1"}


@pytest.mark.parametrize(("value", "error"), [(float("nan"), ValueError), (object(), TypeError)])
def test_a_value_without_a_json_form_is_not_sent(client, platform, value, error):
    with pytest.raises(error):
        client.send([{**POINT, "v": value}])
    assert platform.requests == []


def test_waiting_tells_whether_the_profiles_show_the_datapoints(client, platform):
    platform.replies = [
        platform.reply(200, {"detail": "OK", "applied": True}),
        platform.reply(202, {"detail": "OK", "applied": False}),
    ]
    assert [client.send([POINT], wait=True), client.send([POINT], wait=True)] == [True, False]
    assert platform.requests[0].target == "/datapoints?wait=true"


def test_every_attempt_of_one_send_has_the_same_key(client, platform):
    platform.replies = [platform.reply(503), platform.reply(drop=True), platform.reply()]
    client.send([POINT])
    keys = [request.headers["Idempotency-Key"] for request in platform.requests]
    assert len(keys) == 3
    assert len(set(keys)) == 1


def test_every_send_has_another_key(client, platform):
    client.send([POINT])
    client.send([POINT])
    assert len({request.headers["Idempotency-Key"] for request in platform.requests}) == 2


def test_a_given_key_is_used(client, platform):
    client.send([POINT], idempotency_key="night-import-7")
    assert platform.requests[0].headers["Idempotency-Key"] == "night-import-7"


def test_a_busy_server_is_left_alone_as_long_as_it_asks(client, platform, fake_time):
    platform.replies = [platform.reply(503, headers={"Retry-After": "7"}), platform.reply()]
    client.send([POINT])
    assert fake_time.slept == [7.0]


def test_waits_double_up_to_the_longest(client, platform, fake_time):
    platform.replies = [platform.reply(drop=True)] * 9 + [platform.reply()]
    client.send([POINT])
    expected = [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0]
    assert all(wait / 2 <= slept <= wait for slept, wait in zip(fake_time.slept, expected, strict=True))


def test_attempts_end_with_the_time_limit(client, platform, fake_time):
    platform.replies = [platform.reply(503, {"detail": "too many unprocessed data-points"})]
    with pytest.raises(
        Unavailable, match=r"POST /datapoints: no answer after \d+ attempts.*503.*unprocessed"
    ) as caught:
        client.send([POINT], idempotency_key="k")
    assert fake_time.now_s <= 60
    assert caught.value.attempts == len(platform.requests)
    assert caught.value.idempotency_key == "k"


def test_a_wait_beyond_the_time_limit_is_not_begun(client, platform, fake_time):
    platform.replies = [platform.reply(503, headers={"Retry-After": "3600"})]
    with pytest.raises(Unavailable):
        client.get("/")
    assert fake_time.slept == []


def test_an_address_where_nobody_listens_is_unavailable(fake_time):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    client = Client(f"http://127.0.0.1:{port}", retry=Retry(total_s=0))
    with pytest.raises(Unavailable, match="ConnectionRefusedError") as caught:
        client.get("/")
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_refused_datapoints_are_not_sent_again_and_list_the_errors(client, platform):
    errors = [
        {"type": "int_type", "loc": ["body", 1, "v"], "msg": "Input should be a valid integer", "input": "x"}
    ]
    platform.replies = [platform.reply(422, {"detail": errors})]
    with pytest.raises(
        Refused, match=r"refused with 422: body\.1\.v: Input should be a valid integer$"
    ) as caught:
        client.send([POINT])
    assert (caught.value.status, caught.value.errors, len(platform.requests)) == (422, tuple(errors), 1)


def test_the_message_of_many_errors_stays_short(client, platform):
    platform.replies = [
        platform.reply(422, {"detail": [{"loc": ["body", i], "msg": "bad"} for i in range(1000)]})
    ]
    with pytest.raises(Refused, match="and 995 more") as caught:
        client.send([POINT])
    assert len(caught.value.errors) == 1000
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("body", [{"detail": "Not Found"}, b"Not Found"])
def test_a_refusal_as_text_is_one_error(client, platform, body):
    platform.replies = [platform.reply(404, body)]
    with pytest.raises(Refused, match="GET /nowhere: refused with 404: Not Found") as caught:
        client.get("nowhere")
    assert caught.value.errors == ({"msg": "Not Found"},)


@pytest.mark.parametrize(("status", "body"), [(500, b"Internal Server Error"), (200, b"<html>"), (302, b"")])
def test_an_answer_that_the_platform_does_not_give_is_an_error(client, platform, status, body):
    platform.replies = [platform.reply(status, body or b" ")]
    with pytest.raises(ServerError, match=str(status)) as caught:
        client.get("/")
    assert caught.value.status == status


def test_reading_returns_the_decoded_answer(client, platform):
    platform.replies = [platform.reply(200, {"os": {"v": "Debian"}})]
    assert client.get("/entity/host/web-1/master") == {"os": {"v": "Debian"}}


def test_query_parameters_are_encoded_and_none_is_left_out(client, platform):
    client.get(
        "/v2/entity/host/master",
        eid="a/b c",
        date_to=None,
        limit=5,
        wait=True,
        date_from=datetime(2020, 1, 1, tzinfo=UTC),
    )
    assert platform.requests[0].target == (
        "/v2/entity/host/master?eid=a%2Fb+c&limit=5&wait=true&date_from=2020-01-01T00%3A00%3A00%2B00%3A00"
    )


def test_paths_with_other_letters_are_encoded(client, platform):
    client.get("entity/bus/Žižkov 9/master")
    assert platform.requests[0].target == "/entity/bus/%C5%BDi%C5%BEkov%209/master"


def test_the_platform_may_live_under_a_path(platform):
    Client(f"{platform.url}/api/").get("/entities")
    assert platform.requests[0].target == "/api/entities"


def test_a_post_without_key_is_not_repeated_when_it_may_have_arrived(client, platform):
    platform.replies = [platform.reply(drop=True), platform.reply()]
    with pytest.raises(Unavailable):
        client.request("POST", "/deadletters/7/retry")
    assert len(platform.requests) == 1


def test_a_post_without_key_is_repeated_when_the_platform_was_busy(client, platform):
    platform.replies = [platform.reply(503), platform.reply(200, {"detail": "done"})]
    assert client.request("POST", "/deadletters/7/retry", body={"a": 1}) == {"detail": "done"}
    assert json.loads(platform.requests[1].body) == {"a": 1}


@pytest.mark.parametrize("url", ["127.0.0.1:5000", "ftp://host", "http://"])
def test_an_address_that_is_none_is_refused_at_once(url):
    with pytest.raises(ValueError, match="must look like http://host:5000"):
        Client(url)


def test_importing_the_client_loads_nothing_else_of_the_platform():
    code = "import sys, dp3.client; print(*(name for name in sys.modules if name.startswith('dp3.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(name.startswith("dp3.client") for name in done.stdout.split())


def test_a_token_goes_with_every_request(platform, fake_time):
    client = Client(platform.url, token="dp3_secret", sleep=fake_time.sleep, monotonic=fake_time.monotonic)
    platform.replies = [platform.reply(503), platform.reply()]
    client.send([POINT])
    client.get("/entities")
    assert {request.headers["Authorization"] for request in platform.requests} == {"Bearer dp3_secret"}


def test_without_a_token_there_is_no_header_for_it(client, platform):
    client.get("/entities")
    assert "Authorization" not in platform.requests[0].headers


def test_a_token_is_never_shown(platform, fake_time):
    client = Client(
        platform.url,
        token="dp3_secret",
        retry=Retry(total_s=0),
        sleep=fake_time.sleep,
        monotonic=fake_time.monotonic,
    )
    shown = [repr(client), str(client)]
    for reply in (platform.reply(401, {"detail": "wrong"}), platform.reply(500), platform.reply(503)):
        platform.replies = [reply]
        with pytest.raises(ClientError) as error:
            client.get("/entities")
        shown.append("".join(traceback.format_exception(error.value)))
    assert [text for text in shown if "secret" in text] == []


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "čí", "nul\0"])
def test_what_can_not_be_a_token_is_refused_without_being_shown(platform, token):
    with pytest.raises(ValueError, match="a token consists of visible ASCII characters") as error:
        Client(platform.url, token=token)
    assert not token or token not in str(error.value)
