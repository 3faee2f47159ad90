"""The byte lanes and local files. Upload steps 4 and 8, download D8 to D10. Wired in `ferryd.app` alone.

`ByteLanes` implements the port `Lanes`, `LocalFiles` the port `Files`. No queue, no hub calls, no protobuf here.
"""
