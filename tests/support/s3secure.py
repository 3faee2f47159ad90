"""SeaweedFS with everything that an institution may ask for: TLS of a private authority, buckets in the host name,
encryption, and credentials that end."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from tests.support.s3 import ACCESS_KEY, SECRET_KEY, S3Server, seaweedfs

#: Names below a domain need a resolver that knows them, and no machine has one for all of a test's. But the bucket
#: `127` below the domain `0.0.1` is 127.0.0.1 everywhere.
BUCKET, DOMAIN = "127", "0.0.1"
ROLE = "arn:aws:iam::role/hub"
#: What prints credentials for boto3.
_PROCESS = f"""
import json, pathlib, sys
import boto3
from datetime import datetime, timedelta, timezone
endpoint, ca, seen, first_s = sys.argv[1:]
sts = boto3.client("sts", endpoint_url=endpoint, verify=ca, region_name="us-east-1",
                   aws_access_key_id="{ACCESS_KEY}", aws_secret_access_key="{SECRET_KEY}")
got = sts.assume_role(RoleArn="{ROLE}", RoleSessionName="hub-test", DurationSeconds=3600)["Credentials"]
first = not pathlib.Path(seen).exists()
with open(seen, "a") as file:
    print(got["AccessKeyId"], file=file)
ends = datetime.now(timezone.utc) + timedelta(seconds=int(first_s) if first else 3600)
print(json.dumps({{"Version": 1, "AccessKeyId": got["AccessKeyId"], "SecretAccessKey": got["SecretAccessKey"],
                  "SessionToken": got["SessionToken"], "Expiration": ends.isoformat()}}))
"""


@contextmanager
def secure_seaweedfs() -> Iterator[S3Server]:
    """Its buckets are made and looked into by path, at `localhost`."""
    with seaweedfs(_prepared, scheme="https") as server:
        server = replace_endpoint(server, "localhost")
        server.client().create_bucket(Bucket=BUCKET)
        yield server


def replace_endpoint(server: S3Server, host: str) -> S3Server:
    """The same server under another name."""
    changed = replace(server, endpoint=f"https://{host}:{server.port}", ca=server.root / "ca.pem")
    changed.process = server.process
    return changed


def _prepared(root: Path) -> list[str]:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(root / "ca.pem")
    certificate.private_key_pem.write_to_path(root / "key.pem")
    (root / "chain.pem").write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    (root / "iam.json").write_text(json.dumps(_ROLES))
    tls = [f"-s3.cert.file={root / 'chain.pem'}", f"-s3.key.file={root / 'key.pem'}"]
    return [*tls, f"-s3.iam.config={root / 'iam.json'}", f"-s3.domainName={DOMAIN}"]


def _document(action: list[str], **fields: object) -> dict[str, object]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, **fields}]}


_ROLES = {
    "sts": {
        "tokenDuration": "1h",
        "maxSessionLength": "12h",
        "issuer": "seaweedfs-sts",
        "signingKey": base64.b64encode(b"a key of thirty-two bytes, sure!").decode(),
    },
    "policy": {"defaultEffect": "Deny", "storeType": "memory"},
    "policies": [{"name": "all", "document": _document(["s3:*", "sts:*"], Resource=["*"])}],
    "roles": [
        {
            "roleName": "hub",
            "roleArn": ROLE,
            "trustPolicy": _document(["sts:AssumeRole"], Principal={"AWS": "*"}),
            "attachedPolicies": ["all"],
        }
    ],
}


def temporary_credentials(server: S3Server, directory: Path, *, first_s: int = 3600) -> dict[str, str]:
    """What makes boto3 use credentials of the store's own STS: the environment for the profile `temporary`. The first
    ones say that they end after `first_s`; boto3 renews them a quarter of an hour before. The file `given` in the
    directory lists the key ids that were given out."""
    (directory / "credentials.py").write_text(_PROCESS)
    words = (directory / "credentials.py", server.endpoint, server.ca, directory / "given", first_s)
    config = directory / "aws.ini"
    config.write_text(f"[profile temporary]\ncredential_process = {sys.executable} {' '.join(map(str, words))}\n")
    none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SHARED_CREDENTIALS_FILE": "/none"}
    return {**none, "AWS_CONFIG_FILE": str(config), "AWS_EC2_METADATA_DISABLED": "1"}


@pytest.fixture(scope="session")
def secure_weed() -> Iterator[S3Server]:
    """It, started when first asked for."""
    with secure_seaweedfs() as server:
        yield server
