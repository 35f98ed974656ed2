"""moto's S3 server, each conditional write of it in one step.

moto looks whether a key is there, and then writes it; between the two another thread may run, and then of racing
creates more than one succeeds (2 of 9 were seen on a busy machine, and Cairn's start-up check refused the store, rightly).
"""

import functools
import sys
import threading

from moto.s3.responses import S3Response
from moto.server import main

WRITES = ["put_object", "_key_response_post"]
one_at_a_time = threading.RLock()


def locked(write):
    @functools.wraps(write)
    def alone(*arguments, **options):
        with one_at_a_time:
            return write(*arguments, **options)
    return alone


for name in WRITES:
    setattr(S3Response, name, locked(getattr(S3Response, name)))

main(sys.argv[1:])
