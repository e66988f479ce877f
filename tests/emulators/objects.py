"""Puts and reads objects in the buckets of an emulated account.

    objects.py --endpoint URL put BUCKET KEY FILE [--storage-class C] [--part-mib N] [--checksum ALGORITHM]
    objects.py --endpoint URL upload BUCKET KEY FILE [--checksum ALGORITHM]
    objects.py --endpoint URL list BUCKET
    objects.py --endpoint URL get BUCKET KEY
    objects.py --endpoint URL delete BUCKET KEY
    objects.py --endpoint URL overwrite BUCKET KEY OLD NEW
"""

import argparse
import json
import sys

import aws_clients


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--region", default="eu-west-1")
    parser.add_argument("--storage-class", default="STANDARD")
    parser.add_argument("--part-mib", type=int, default=0)
    parser.add_argument("--checksum", default="")
    parser.add_argument("action", choices=["put", "upload", "list", "get", "overwrite", "delete", "bucket"])
    parser.add_argument("rest", nargs="+")
    args = parser.parse_args()
    s3 = aws_clients.Clients(args.endpoint, args.region)("s3")
    bucket = args.rest[0]
    if args.action in ("put", "bucket"):
        if bucket not in [b["Name"] for b in s3.list_buckets()["Buckets"]]:
            s3.create_bucket(
                Bucket=bucket,
                CreateBucketConfiguration={"LocationConstraint": args.region},
                ObjectLockEnabledForBucket=args.action == "bucket",
            )
    if args.action == "bucket":
        return
    if args.action == "upload":
        key, path = args.rest[1:]
        s3.upload_file(path, bucket, key, ExtraArgs={"ChecksumAlgorithm": args.checksum} if args.checksum else None)
        return
    if args.action == "put":
        key, path = args.rest[1:]
        body = open(path, "rb").read()
        more = {"ChecksumAlgorithm": args.checksum} if args.checksum else {}
        if not args.part_mib:
            s3.put_object(Bucket=bucket, Key=key, Body=body, StorageClass=args.storage_class, **more)
            return
        upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        size = args.part_mib << 20
        parts = []
        for number, start in enumerate(range(0, len(body), size), 1):
            part = s3.upload_part(
                Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body[start : start + size]
            )
            parts.append({"PartNumber": number, "ETag": part["ETag"]})
        s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})
    elif args.action == "list":
        found = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
        json.dump([o["Key"] for o in found], sys.stdout)
    elif args.action == "get":
        sys.stdout.buffer.write(s3.get_object(Bucket=bucket, Key=args.rest[1])["Body"].read())
    elif args.action == "delete":
        s3.delete_object(Bucket=bucket, Key=args.rest[1])
    else:
        key, old, new = args.rest[1:]
        text = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
        assert old in text, text
        s3.put_object(Bucket=bucket, Key=key, Body=text.replace(old, new, 1).encode())


main()
