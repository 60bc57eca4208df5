/** The result of each attack: what the page could read, or why it failed. */
export type AttackResults = Record<string, { read?: string; failed?: string }>;

/** Runs in a page and tries every way to read from the server or to change its data. */
export async function attack(target: string): Promise<AttackResults> {
  const removal = 'mutation { removePipeline(pipeline: "victim") }';
  const body = JSON.stringify({ query: removal });
  const status = `${target}/api/v1/monitoring/pipeline-status?pipeline=victim`;
  const query = (text: string) => `${target}/graphql?query=${encodeURIComponent(text)}`;
  const socket = target.replace('http', 'ws');
  const run = JSON.stringify({ source: 'evil', timestamp: new Date().toISOString(), articles_collected: 1_000 });
  const results: AttackResults = {};

  async function attempt(name: string, action: () => Promise<string>) {
    const timeout = new Promise<never>((_, reject) => setTimeout(() => reject(new Error('timed out')), 5_000));
    try {
      results[name] = { read: await Promise.race([action(), timeout]) };
    } catch (error) {
      results[name] = { failed: String(error) };
    }
  }

  function element(name: 'img' | 'script' | 'iframe', src: string): Promise<HTMLElement> {
    return new Promise((resolve, reject) => {
      const created = document.createElement(name);
      created.onload = () => resolve(created);
      created.onerror = () => reject(new Error('an error event'));
      created.setAttribute('src', src);
      document.body.append(created);
    });
  }

  /** Posts a form into a frame and tries to read the frame's document. */
  async function form(method: string, enctype: string, action: string, fields: Record<string, string>) {
    const frame = document.createElement('iframe');
    frame.name = `frame-${Math.random()}`;
    const created = document.createElement('form');
    Object.assign(created, { method, enctype, action, target: frame.name });
    for (const [name, value] of Object.entries(fields)) {
      const input = document.createElement('input');
      Object.assign(input, { name, value });
      created.append(input);
    }
    document.body.append(frame, created);
    // The empty frame has loaded already, so the next load event is the response.
    const loaded = new Promise((resolve) => frame.addEventListener('load', resolve));
    created.submit();
    await loaded;
    return frame.contentDocument?.body.innerText || Promise.reject(new Error('the document is not readable'));
  }

  async function fetched(url: string, init?: RequestInit) {
    const response = await fetch(url, init);
    if (response.type === 'opaque') throw new Error('an opaque response');
    const text = await response.text();
    if (!response.ok) throw new Error(`status ${response.status}`);
    return text;
  }

  const first = (target: EventTarget, type: string) =>
    new Promise<string>((resolve, reject) => {
      target.addEventListener(type, (event) => resolve(String((event as MessageEvent).data)));
      target.addEventListener('error', () => reject(new Error('an error event')));
    });

  await attempt('img of the status', async () => (await element('img', status)).outerHTML);
  await attempt('img of a query', async () => (await element('img', query('{ pipelines { key } }'))).outerHTML);
  await attempt('img of a mutation', async () => (await element('img', query(removal))).outerHTML);
  await attempt('script of the status', async () => (await element('script', status)).outerHTML);
  await attempt('iframe of the status', async () => {
    const frame = (await element('iframe', status)) as HTMLIFrameElement;
    return frame.contentDocument?.body.innerText || Promise.reject(new Error('the document is not readable'));
  });
  await attempt('fetch', () => fetched(status));
  await attempt('fetch of metrics', () => fetched(`${target}/metrics`));
  await attempt('fetch without CORS', () => fetched(status, { mode: 'no-cors' }));
  await attempt('fetch with credentials', () => fetched(status, { credentials: 'include' }));
  const json = { 'content-type': 'application/json' };
  await attempt('fetch of a mutation', () => fetched(`${target}/graphql`, { method: 'POST', headers: json, body }));
  const text = { 'content-type': 'text/plain' };
  for (const mode of ['cors', 'no-cors'] as const) {
    const post = (path: string, body: string) => fetched(target + path, { method: 'POST', mode, headers: text, body });
    await attempt(`fetch of a mutation as text, ${mode}`, () => post('/graphql', body));
    await attempt(`fetch of a report as text, ${mode}`, () => post('/api/v1/source-runs?pipeline=victim', run));
  }
  await attempt('beacon', async () => {
    if (navigator.sendBeacon(`${target}/graphql`, body)) throw new Error('sent, but the response is not readable');
    return 'not sent';
  });
  // A text/plain form sends `name=value`, which is JSON if the equals sign is inside a string.
  const jsonField = { [`${body.slice(0, -1)},"a":"`]: '"}' };
  await attempt('form as text', () => form('POST', 'text/plain', `${target}/graphql`, jsonField));
  const fields = { query: removal };
  await attempt('form', () => form('POST', 'application/x-www-form-urlencoded', `${target}/graphql`, fields));
  await attempt('form by GET', () => form('GET', '', `${target}/graphql`, fields));
  // The default pipeline, which exists even if the attempts above removed the other one.
  const stream = `${target}/api/v1/monitoring/pipeline-status/stream`;
  await attempt('EventSource', () => first(new EventSource(stream), 'status'));
  const subscription = query('subscription { pipelineStatusUpdates(pipeline: "victim") { revision } }');
  await attempt('EventSource of GraphQL', () => first(new EventSource(subscription), 'next'));
  await attempt('WebSocket', () => first(new WebSocket(`${socket}/api/v1/ws/monitoring/pipeline-status`), 'message'));
  await attempt('WebSocket of GraphQL', async () => {
    const opened = new WebSocket(`${socket}/graphql`, 'graphql-transport-ws');
    const acknowledged = first(opened, 'message');
    opened.addEventListener('open', () => opened.send('{"type":"connection_init"}'));
    await acknowledged;
    const response = first(opened, 'message');
    opened.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: removal } }));
    return response;
  });
  return results;
}
