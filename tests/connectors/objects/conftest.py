"""A real S3 server on loopback."""

from s3 import bucket, endpoint

__all__ = ["bucket", "endpoint"]
