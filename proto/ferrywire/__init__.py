"""What the three programs agree on and protobuf cannot say: reasons, digests, ids and paths.

A leaf: nothing here imports a program, and every module is small enough to be read whole.
"""
