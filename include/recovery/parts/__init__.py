"""The encrypted parts of a backup: streams in, stored objects out, and back.

write.py     stream -> zstd -> AES-256-GCM -> multipart upload
compress.py  zstd, in frames, at the level that pays
read.py      the way back, and the check of what is stored
message.py   the public message format of the AWS Encryption SDK
progress.py  who is told how far it is
"""
