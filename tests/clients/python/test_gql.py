"""Python's gql, over each of its transports that the server supports."""

import asyncio
import unittest
from datetime import datetime, timezone

from gql import Client, GraphQLRequest, gql
from gql.transport.aiohttp import AIOHTTPTransport
from gql.transport.aiohttp_websockets import AIOHTTPWebsocketsTransport
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.requests import RequestsHTTPTransport
from gql.transport.websockets import WebsocketsTransport

from server import Server

# The deadline of every wait.
PATIENCE = 10

STATUS = "query ($pipeline: String!) { pipelineStatus(pipeline: $pipeline) { revision overallStatus } }"
UPDATES = (
    "subscription ($pipeline: String!) { pipelineStatusUpdates(pipeline: $pipeline) { revision overallStatus } }"
)
RECORD = """mutation ($pipeline: String!, $timestamp: DateTime!) {
  recordSourceRun(pipeline: $pipeline, input: { source: "punch", timestamp: $timestamp }) { results { status } }
}"""


def setUpModule():
    global server
    server = Server()
    unittest.addModuleCleanup(server.stop)


def http(transport):
    return lambda: transport(url=f"{server.url}/graphql", timeout=PATIENCE)


def websocket(transport, **options):
    return lambda: transport(url=server.url.replace("http:", "ws:") + "/graphql", **options)


# By default gql also offers the older protocol and detects the selected one; a separate test covers that.
PROTOCOL = [WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL]

ASYNC_HTTP = {"aiohttp": http(AIOHTTPTransport), "httpx": http(HTTPXAsyncTransport)}
WEBSOCKET = {
    "websockets": websocket(WebsocketsTransport, subprotocols=PROTOCOL),
    "aiohttp websockets": websocket(AIOHTTPWebsocketsTransport, subprotocols=PROTOCOL),
}


def operation(text, **variables):
    return GraphQLRequest(text, variable_values=variables)


def record(pipeline):
    return operation(RECORD, pipeline=pipeline, timestamp=datetime.now(timezone.utc).isoformat())


STORED = {"recordSourceRun": {"results": [{"status": "STORED"}]}}


class AsyncTest(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        # The debug mode of unittest logs each task of gql that is cancelled while it reads.
        asyncio.get_running_loop().set_debug(False)


class Operations(AsyncTest):
    """Queries and mutations, over HTTP and over WebSockets."""

    async def each(self, check):
        for name, transport in (ASYNC_HTTP | WEBSOCKET).items():
            with self.subTest(name):
                async with asyncio.timeout(PATIENCE):
                    async with Client(transport=transport()) as session:
                        await check(session)

    async def test_query_succeeds(self):
        async def check(session):
            pipeline = server.pipeline()
            result = await session.execute(operation(STATUS, pipeline=pipeline))
            self.assertRegex(result["pipelineStatus"]["revision"], r"^\d+$")

        await self.each(check)

    async def test_mutation_succeeds(self):
        async def check(session):
            self.assertEqual(await session.execute(record(server.pipeline())), STORED)

        await self.each(check)

    async def test_query_error_has_a_code(self):
        async def check(session):
            with self.assertRaises(TransportQueryError) as raised:
                await session.execute(operation(STATUS, pipeline="nowhere"))
            self.assertEqual(raised.exception.errors[0]["extensions"]["code"], "PIPELINE_NOT_FOUND")

        await self.each(check)

    async def test_invalid_query_is_an_error(self):
        async def check(session):
            with self.assertRaises(TransportQueryError) as raised:
                await session.execute(gql("{ nothing }"))
            self.assertIsInstance(raised.exception.errors[0]["message"], str)

        await self.each(check)

    async def test_schema_can_be_fetched(self):
        for name, transport in (ASYNC_HTTP | WEBSOCKET).items():
            with self.subTest(name):
                client = Client(transport=transport(), fetch_schema_from_transport=True)
                async with asyncio.timeout(PATIENCE), client as session:
                    # gql validates the query against the fetched schema before sending it.
                    await session.execute(operation(STATUS, pipeline=server.pipeline()))
                    self.assertIn("pipelineStatusUpdates", client.schema.subscription_type.fields)

    def test_query_and_mutation_by_requests_succeed(self):
        with Client(transport=http(RequestsHTTPTransport)()) as session:
            pipeline = server.pipeline()
            self.assertEqual(session.execute(record(pipeline)), STORED)
            result = session.execute(operation(STATUS, pipeline=pipeline))
            self.assertRegex(result["pipelineStatus"]["revision"], r"^\d+$")


class Protocol(AsyncTest):
    """A client that is configured with the URL only."""

    async def check(self, transport):
        async with asyncio.timeout(PATIENCE):
            async with Client(transport=transport()) as session:
                result = await session.execute(operation(STATUS, pipeline="default"))
                self.assertRegex(result["pipelineStatus"]["revision"], r"^\d+$")

    async def test_websockets_transport_detects_the_protocol(self):
        # It compares Sec-WebSocket-Protocol case-sensitively: in lower case it is not found, and the older
        # protocol is used.
        await self.check(websocket(WebsocketsTransport))

    async def test_aiohttp_transport_detects_the_protocol(self):
        await self.check(websocket(AIOHTTPWebsocketsTransport))


class Subscriptions(AsyncTest):
    """Over graphql-transport-ws."""

    async def each(self, check, transports=WEBSOCKET):
        for name, transport in transports.items():
            with self.subTest(name):
                async with asyncio.timeout(PATIENCE):
                    async with Client(transport=transport()) as session:
                        await check(session)

    async def test_subscription_receives_a_status_after_a_report(self):
        async def check(session):
            pipeline = server.pipeline()
            revision = None
            async for result in session.subscribe(operation(UPDATES, pipeline=pipeline)):
                seen = int(result["pipelineStatusUpdates"]["revision"])
                if revision is not None and seen >= revision:
                    break
                if revision is None:
                    revision = int(server.report(pipeline))
                    self.assertGreater(revision, seen)

        await self.each(check)

    async def test_subscriptions_and_queries_share_a_connection(self):
        async def follow(session, pipeline, ready):
            revision = None
            async for result in session.subscribe(operation(UPDATES, pipeline=pipeline)):
                seen = int(result["pipelineStatusUpdates"]["revision"])
                if revision is not None and seen >= revision:
                    return
                if revision is None:
                    await ready.wait()
                    revision = int(server.report(pipeline))

        async def check(session):
            # All receive their first status before the first report.
            ready = asyncio.Barrier(3)
            pipelines = [server.pipeline() for _ in range(3)]
            await asyncio.gather(*(follow(session, pipeline, ready) for pipeline in pipelines))
            await session.execute(operation(STATUS, pipeline=pipelines[0]))

        await self.each(check)

    async def test_unknown_pipeline_is_an_error_with_a_code(self):
        async def check(session):
            with self.assertRaises(TransportQueryError) as raised:
                async for _ in session.subscribe(operation(UPDATES, pipeline="nowhere")):
                    self.fail("there is nothing to say of it")
            self.assertEqual(raised.exception.errors[0]["extensions"]["code"], "PIPELINE_NOT_FOUND")

        await self.each(check)

    async def test_removing_a_pipeline_ends_its_subscription(self):
        async def check(session):
            pipeline = server.pipeline()
            is_first = True
            async for _ in session.subscribe(operation(UPDATES, pipeline=pipeline)):
                if is_first:
                    await session.execute(
                        operation("mutation ($key: String!) { removePipeline(pipeline: $key) }", key=pipeline)
                    )
                is_first = False

        await self.each(check)

    async def test_protocol_pings_are_answered(self):
        async def check(session):
            transport = session.transport
            async for _ in session.subscribe(operation(UPDATES, pipeline=server.pipeline())):
                for number in range(3):
                    await transport.send_ping({"number": number})
                    await transport.pong_received.wait()
                    self.assertEqual(transport.payloads["pong"], {"number": number})
                    transport.pong_received.clear()
                break

        await self.each(check)

    async def test_client_pings_are_answered_in_time(self):
        # With an interval the client sends pings, and closes the connection without a pong in time.
        pinging = {
            name: websocket(transport, subprotocols=PROTOCOL, ping_interval=0.05, pong_timeout=5)
            for name, transport in {
                "websockets": WebsocketsTransport,
                "aiohttp websockets": AIOHTTPWebsocketsTransport,
            }.items()
        }

        async def check(session):
            for _ in range(3):
                await session.transport.pong_received.wait()
                session.transport.pong_received.clear()
            await session.execute(operation(STATUS, pipeline="default"))

        await self.each(check, pinging)
