"""Prints every status of a pipeline, received over graphql-transport-ws with gql, until Ctrl-C.

    pip install 'gql[websockets]' && python watch_gql.py [PIPELINE]

PIPEWATCH_URL is the server's URL, PIPEWATCH_TOKEN its token if it requires one.
"""

import asyncio
import os
import sys

from gql import Client, gql
from gql.transport.websockets import WebsocketsTransport

SERVER = os.environ.get("PIPEWATCH_URL", "http://127.0.0.1:8000")
TOKEN = os.environ.get("PIPEWATCH_TOKEN")

UPDATES = gql(
    """
    subscription ($pipeline: String!) {
      pipelineStatusUpdates(pipeline: $pipeline) {
        revision
        overallStatus
        dataQuality { geocodingSuccessRate validationPassRate }
      }
    }
    """
)


async def watch(pipeline):
    transport = WebsocketsTransport(
        url=SERVER.replace("http", "ws", 1) + "/graphql",
        # Without this, gql offers an older protocol first and has to reconnect.
        subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
        init_payload={"token": TOKEN} if TOKEN else {},
    )
    UPDATES.variable_values = {"pipeline": pipeline}
    async with Client(transport=transport) as session:
        async for result in session.subscribe(UPDATES):
            status = result["pipelineStatusUpdates"]
            quality = status["dataQuality"]
            # A rate is None if nothing was attempted.
            rates = f"geocoding {quality['geocodingSuccessRate']}, validation {quality['validationPassRate']}"
            print(status["revision"], status["overallStatus"], rates, flush=True)


try:
    asyncio.run(watch(sys.argv[1] if len(sys.argv) > 1 else "demo"))
except KeyboardInterrupt:
    pass
