"""Log and state on a server, as the configuration says."""

import os
import socket
import threading
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

import psycopg
import pytest

from dp3.clock import FakeClock
from dp3.config.loading import load
from dp3.files import FormatError
from dp3.runtime.places import Unusable
from dp3.runtime.resources import DataDir, has_data, open_resources, schema_name
from kit.backends import server_url

ENTITY = "entity: {id: device, name: Device, snapshot: false}\nattribs: {}\n"
SECRET = "open sesame"

_number = count()


def application(directory: Path, database: str):
    """The configuration of an application in a directory."""
    config = directory / "config"
    (config / "db_entities").mkdir(parents=True)
    (config / "db_entities" / "device.yml").write_text(ENTITY)
    (config / "database.yml").write_text(database)
    return load(config)


@contextmanager
def opened(config):
    data = DataDir(config.path.parent / "data")
    data.prepare()
    with open_resources(config, data, FakeClock()) as resources:
        yield resources


@contextmanager
def asking_for_a_password():
    """A server that asks each client for its password and refuses it: its address and the passwords."""
    told: list[bytes] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        threading.Thread(target=_refuse_all, args=(listener, told), daemon=True).start()
        yield f"postgresql://dp3@127.0.0.1:{port}/dp3?sslmode=disable&gssencmode=disable", told


def _refuse_all(listener, told):
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client:
            client.recv(10_000)
            client.sendall(b"R\0\0\0\x08\0\0\0\x03")
            told.append(client.recv(10_000)[5:].rstrip(b"\0"))
            fields = b"SFATAL\0C28P01\0Mpassword authentication failed\0\0"
            client.sendall(b"E" + (4 + len(fields)).to_bytes(4) + fields)


def test_the_password_of_a_file_is_used_and_never_told(tmp_path, caplog):
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    with asking_for_a_password() as (url, passwords):
        config = application(tmp_path / "app", f"url: {url}\npassword_file: {tmp_path / 'secret'}\n")
        with pytest.raises(Unusable, match="password authentication failed") as refused, opened(config):
            pass

    assert set(passwords) == {SECRET.encode()}
    assert SECRET not in str(refused.value)
    assert SECRET not in caplog.text
    assert SECRET not in repr(config)


def test_a_password_file_lies_beside_the_configuration_or_anywhere(tmp_path):
    with asking_for_a_password() as (url, passwords):
        config = application(tmp_path / "app", f"url: {url}\npassword_file: ../secret\n")
        (tmp_path / "app" / "secret").write_text(SECRET)
        with pytest.raises(Unusable), opened(config):
            pass

    assert set(passwords) == {SECRET.encode()}


def test_who_only_asks_whether_there_is_data_has_the_password_too(tmp_path):
    with asking_for_a_password() as (url, passwords):
        config = application(tmp_path / "app", f"url: {url}\npassword_file: ../secret\n")
        (tmp_path / "app" / "secret").write_text(SECRET)
        with pytest.raises(Unusable):
            has_data(config, DataDir(tmp_path / "data"))

    assert set(passwords) == {SECRET.encode()}


def test_a_password_file_that_is_not_there_is_named(tmp_path):
    config = application(tmp_path / "app", f"url: {server_url()}\npassword_file: nothing\n")

    with pytest.raises(Unusable, match="app/config/nothing: No such file"), opened(config):
        pass


def test_the_password_of_an_address_is_never_told(tmp_path):
    database = f"url: postgresql://dp3:{SECRET.replace(' ', '%20')}@127.0.0.1:1/dp3\n"
    config = application(tmp_path / "app", database)

    with pytest.raises(Unusable, match=r"postgresql://127\.0\.0\.1/dp3: ") as refused, opened(config):
        pass
    assert "sesame" not in str(refused.value)


@pytest.fixture
def same_name(tmp_path):
    """Two directories of the same name, after which no schema is named yet."""
    name = f"s{os.getpid()}_{next(_number)}"
    return tmp_path / "a" / name, tmp_path / "b" / name


def test_applications_in_one_database_have_schemas_of_their_own(tmp_path):
    name = f"s{os.getpid()}_{next(_number)}"
    configs = [application(tmp_path / f"{name}{which}", f"url: {server_url()}\n") for which in "ab"]
    with opened(configs[0]) as one, opened(configs[1]) as other:
        one.store.control.send(0, "make_snapshots", {})

        assert [len(each.store.control.pending(0)) for each in (one, other)] == [1, 0]


def test_an_application_in_another_directory_of_the_same_name_is_refused(same_name):
    one, other = (application(directory, f"url: {server_url()}\n") for directory in same_name)
    assert schema_name(one) == schema_name(other)
    with opened(one):
        pass

    with pytest.raises(FormatError, match=f"was made for the application in {same_name[0]}"), opened(other):
        pass
    with opened(one):
        pass


def test_an_application_that_names_its_schema_may_be_anywhere(same_name):
    one = application(same_name[0], f"url: {server_url()}\n")
    with opened(one) as resources:
        resources.store.control.send(0, "make_snapshots", {})

    other = application(same_name[1], f"url: {server_url()}\nschema_name: {schema_name(one)}\n")
    with opened(other) as resources:
        assert len(resources.store.control.pending(0)) == 1


def test_a_process_has_no_more_connections_than_configured(tmp_path):
    name = f"s{os.getpid()}_{next(_number)}"
    config = application(tmp_path / name, f"url: {server_url()}\nconnections: 2\n")
    with opened(config) as resources:
        threads = [threading.Thread(target=resources.store.batches.positions) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with psycopg.connect(server_url()) as connection:
            ((connections,),) = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE starts_with(application_name, %s)",
                (f"dp3 {schema_name(config)}",),
            )

    assert connections <= 4
