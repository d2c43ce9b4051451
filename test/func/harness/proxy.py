# SPDX-License-Identifier: Apache-2.0
"""A TCP proxy whose connections a test can cut, refuse or hold, and that can lose answers."""
import asyncio
import threading

from .proc import free_port


class Proxy:
    """Passes bytes to 127.0.0.1:target.  cut() ends what is open; refuse() also turns new ones away; hold() lets nothing through, silently.

    slow(seconds): every piece takes so long, either way.

    let_through(n): holds when so many more bytes have gone to the target; `spent` says that they have.

    lose_answers(n): what comes back for the n-th time is swallowed and that connection is cut, so that the client cannot know what was done."""

    def __init__(self, target):
        self.target, self.port = target, free_port()
        self.refusing = False
        self.lose_every = self.answers = self.lost = 0
        self.delay = 0
        self.allowance = None
        self.passing = None
        self.writers = set()
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(ready,), daemon=True)
        self.thread.start()
        ready.wait(10)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def run(self, ready):
        asyncio.set_event_loop(self.loop)
        self.passing = asyncio.Event()
        self.passing.set()
        self.server = self.loop.run_until_complete(asyncio.start_server(self.accept, "127.0.0.1", self.port))
        ready.set()
        self.loop.run_forever()

    async def accept(self, reader, writer):
        if self.refusing:
            writer.transport.abort()
            return
        try:
            there, here = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        self.writers |= {writer, here}
        await asyncio.gather(self.pump(reader, here), self.pump(there, writer, here))
        self.writers -= {writer, here}

    async def pump(self, source, sink, back=None):
        """back: these are answers, and that is the way of the requests."""
        try:
            while data := await source.read(65536):
                await self.passing.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                if back and self.loses():
                    back.transport.abort()
                    sink.transport.abort()
                    return
                if not back and self.allowance is not None:
                    data, self.allowance = data[:self.allowance], self.allowance - len(data[:self.allowance])
                    if self.spent:
                        self.passing.clear()
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        sink.close()

    def loses(self):
        self.answers += 1
        if not self.lose_every or self.answers % self.lose_every:
            return False
        self.lost += 1
        return True

    @property
    def spent(self):
        return self.allowance == 0

    def let_through(self, n):
        self.allowance = n

    def slow(self, seconds):
        self.delay = seconds

    def lose_answers(self, every):
        self.lose_every = every

    def call(self, function):
        done = threading.Event()

        def run():
            function()
            done.set()

        self.loop.call_soon_threadsafe(run)
        done.wait(10)

    def cut(self):
        self.call(lambda: [w.transport.abort() for w in list(self.writers)])

    def refuse(self):
        self.refusing = True
        self.cut()

    def allow(self):
        self.refusing = False
        self.call(self.passing.set)

    def hold(self):
        self.call(self.passing.clear)

    def close(self):
        self.refuse()
        asyncio.run_coroutine_threadsafe(self.finish(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)

    async def finish(self):
        self.server.close()
        mine = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for t in mine:
            t.cancel()
        await asyncio.gather(*mine, return_exceptions=True)
