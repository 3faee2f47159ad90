"""Makes a server far away: `worker_far.py HOST PORT MS` says where it listens, and passes everything on, `MS` later.

Every connection has all the bandwidth there is; only the way is long.
"""

from __future__ import annotations

import asyncio
import sys

PIECE = 1 << 18


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    """One way of one connection, until its end."""
    clock, on_the_way = asyncio.get_running_loop().time, asyncio.Queue[tuple[float, bytes]]()

    async def deliver() -> None:
        while True:
            due, piece = await on_the_way.get()
            await asyncio.sleep(max(0.0, due - clock()))
            if not piece:
                writer.write_eof()
                return
            writer.write(piece)
            await writer.drain()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(deliver())
        piece = b"?"
        while piece:
            piece = await reader.read(PIECE)
            on_the_way.put_nowait((clock() + delay_s, piece))


async def main(host: str, port: int, delay_s: float) -> None:
    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, port)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(carry(reader, back, delay_s))
                tasks.create_task(carry(there, writer, delay_s))
        except* OSError:
            pass  # one side has hung up, as clients do with connections that they keep
        finally:
            writer.close()
            back.close()

    listener = await asyncio.start_server(connect, "127.0.0.1", 0, backlog=1024)  # s5cmd comes with 256 at once
    print(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", flush=True)
    await listener.serve_forever()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]) / 1000))
