import assert from 'node:assert/strict';

import { Mailbox } from './mailbox.js';
import { within } from './within.js';

/** A stream of Server-Sent Events, read line by line to include comments; closed at the end of the test `t`. */
export class Events {
  /** The events: `{ event, data, id, retry }`; fields the stream does not send are undefined. Ends with the stream. */
  events = new Mailbox();
  /** The comments (heartbeats). */
  comments = new Mailbox();
  response;
  #abort = new AbortController();

  /** Opens a stream; fails for any other response. */
  static async open(t, url, init = {}) {
    const stream = new Events();
    t.after(() => stream.close());
    const headers = { accept: 'text/event-stream', ...init.headers };
    const request = fetch(url, { ...init, headers, signal: stream.#abort.signal });
    stream.response = await within(request, `the stream ${url}`);
    const { status, headers: answered } = stream.response;
    const type = answered.get('content-type');
    if (status !== 200 || !/^text\/event-stream(;|$)/.test(type)) {
      assert.fail(`no stream: ${status} ${type}: ${(await stream.response.text()).slice(0, 300)}`);
    }
    stream.#read();
    return stream;
  }

  /** The next event. */
  take(what) {
    return this.events.take(what);
  }

  /** Disconnects. */
  close() {
    this.#abort.abort();
  }

  async #read() {
    try {
      let rest = '';
      let event = {};
      for await (const text of this.response.body.pipeThrough(new TextDecoderStream())) {
        const lines = (rest + text).split(/\r?\n/);
        rest = lines.pop();
        for (const line of lines) {
          if (line.startsWith(':')) {
            this.comments.put(line);
          } else if (line !== '') {
            const [, field, value] = /^([^:]*):? ?(.*)$/.exec(line);
            event[field] = field === 'data' && 'data' in event ? `${event.data}\n${value}` : value;
          } else if (Object.keys(event).length > 0) {
            this.events.put(event);
            event = {};
          }
        }
      }
      this.events.end('the stream ended');
      this.comments.end('the stream ended');
    } catch (error) {
      this.events.end(`the stream broke: ${error.message}`);
    }
  }
}
