import asyncio
import socket

import pytest
import pytest_asyncio


@pytest.mark.parametrize("number", range(20))
async def test_sleeps(number):
    await asyncio.sleep(0)


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def server():
    async def echo(reader, writer):
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("number", range(4))
async def test_talks_to_a_server(server, number):
    reader, writer = await asyncio.open_connection(*server)
    writer.write(b"%d\n" % number)
    assert await reader.readline() == b"%d\n" % number
    writer.close()


async def test_starts_a_process():
    process = await asyncio.create_subprocess_exec("true")
    assert await process.wait() == 0


async def test_thread():
    assert await asyncio.to_thread(socket.gethostname)


@pytest_asyncio.fixture
async def broken():
    raise RuntimeError("no fixture")


async def test_error(broken):
    pass


async def test_fails():
    await asyncio.sleep(0)
    raise ValueError("in a coroutine")


@pytest.mark.asyncio(loop_scope="module")
class TestLoop:
    loop = None

    async def test_keeps_a_loop(self):
        TestLoop.loop = asyncio.get_running_loop()
        assert TestLoop.loop.is_running()


def test_no_coroutine():
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
