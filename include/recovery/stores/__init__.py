"""Where backups live: objects by key.

port.py     what Lifeboat needs of a store
s3.py       any S3 service: AWS, Ceph radosgw, ...
upload.py   the streaming multipart upload behind ``S3Store.writer``
download.py the streaming download that survives a broken connection
folder.py   a local directory
"""
