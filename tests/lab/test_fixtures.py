"""The servers that the tests share are what they promise to be."""

from __future__ import annotations

import httpx
import pytest
from botocore.exceptions import ClientError

from include.lab.postgres import PostgresCluster
from include.recovery.connections import ConnectionInfo
from include.recovery.errors import ObjectLocked
from include.recovery.postgres.server import PostgresServer
from include.recovery.stores.s3 import S3Store
from tests.fixtures.servers import Kms, ObjectStores, SlackSink

pytestmark = pytest.mark.integration


def test_a_fresh_database_is_empty_and_ours(fresh_database: PostgresServer) -> None:
    with fresh_database.connect() as connection:
        found = connection.execute("SELECT current_database(), count(*) FROM pg_stat_user_tables").fetchone()
    assert found == (fresh_database.database, 0)


def test_tcp_asks_for_a_password(postgres_cluster: PostgresCluster) -> None:
    with postgres_cluster.connect() as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
        rules = connection.execute("SELECT auth_method FROM pg_hba_file_rules WHERE type LIKE 'host%'").fetchall()
    assert {method for (method,) in rules} == {"scram-sha-256"}


def test_both_regions_keep_what_they_are_given(object_stores: ObjectStores) -> None:
    for store in (object_stores.primary, object_stores.offsite):
        store.put("fixtures/hello", b"content")
        assert store.get("fixtures/hello")[0] == b"content"


def test_a_version_can_be_deleted_in_the_primary_region_only(object_stores: ObjectStores) -> None:
    for store in (object_stores.primary, object_stores.offsite):
        store.put("fixtures/version", b"content")
    (version,) = object_stores.primary.versions("fixtures/version")
    object_stores.primary.delete("fixtures/version", version.id)
    assert not list(object_stores.primary.versions("fixtures/version"))
    (version,) = object_stores.offsite.versions("fixtures/version")
    with pytest.raises(ObjectLocked):
        object_stores.offsite.delete("fixtures/version", version.id)


def test_the_offsite_writer_cannot_lift_its_own_limits(object_stores: ObjectStores) -> None:
    client = object_stores.offsite.client
    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_bucket_policy(Bucket=object_stores.offsite.bucket)
    with pytest.raises(ClientError, match="AccessDenied"):
        client.delete_bucket(Bucket=object_stores.offsite.bucket)


@pytest.mark.parametrize("name", ["primary", "offsite"])
def test_what_expires_in_a_repository_leaves_a_version_that_its_writer_cannot_reach(
    object_stores: ObjectStores, name: str
) -> None:
    """No lock stands in pgBackRest's way, and still its credentials cannot destroy what they wrote."""
    repository = S3Store.from_connection(name, f"lifeboat-{name}-repo", object_stores.repositories[name])
    one, two, client = "fixtures/one", "fixtures/two", repository.client
    for key in (one, two):
        client.put_object(Bucket=repository.bucket, Key=key, Body=b"content")
    assert client.get_object(Bucket=repository.bucket, Key=one)["Body"].read() == b"content"
    client.delete_object(Bucket=repository.bucket, Key=one)
    several = client.delete_objects(Bucket=repository.bucket, Delete={"Objects": [{"Key": two}], "Quiet": True})
    assert "Errors" not in several
    assert "Contents" not in client.list_objects_v2(Bucket=repository.bucket, Prefix="fixtures/")
    for forbidden in (
        lambda: client.list_object_versions(Bucket=repository.bucket),
        lambda: client.put_bucket_versioning(
            Bucket=repository.bucket, VersioningConfiguration={"Status": "Suspended"}
        ),
        lambda: client.put_object(Bucket=f"lifeboat-{name}", Key="x", Body=b""),
        lambda: client.list_objects_v2(Bucket=f"lifeboat-{name}"),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            forbidden()
    kept = {"primary": object_stores.primary, "offsite": object_stores.offsite}[name]
    with pytest.raises(ClientError, match="AccessDenied"):
        kept.client.list_objects_v2(Bucket=repository.bucket)


def test_the_key_service_wraps_and_unwraps(kms: Kms) -> None:
    client = kms.client()
    made = client.generate_data_key(KeyId=kms.alias, KeySpec="AES_256", EncryptionContext={"system": "x"})
    back = client.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext={"system": "x"})
    assert back["Plaintext"] == made["Plaintext"]


def test_slack_shows_what_it_took_and_refuses_the_rest(slack_sink: SlackSink) -> None:
    assert _post(slack_sink.connection, b'{"text": "fixture says hello"}') == 200
    assert _post(slack_sink.connection, b"fixture says nonsense") == 400
    assert [message["text"] for message in slack_sink.messages("fixture says")] == ["fixture says hello"]


def _post(connection: ConnectionInfo, body: bytes) -> int:
    return httpx.post(f"{connection.host}/{connection.password}", content=body).status_code
