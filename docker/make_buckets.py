"""Make the buckets that are named, where they are not there yet: python FILE NAME..."""

import sys

import boto3


def main(names: list[str]) -> None:
    """Make buckets in the store that AWS's environment variables describe."""
    store = boto3.client("s3")
    found = {bucket["Name"] for bucket in store.list_buckets()["Buckets"]}
    for name in names:
        if name not in found:
            store.create_bucket(Bucket=name)


if __name__ == "__main__":
    main(sys.argv[1:])
