import { FeedError, ofStatus, problem } from '../problem';

/**
 * Reads Server-Sent Events until they end, which is an error: by fetch, because EventSource can carry no token, shows no
 * comments, and tries again by itself.
 *
 * @param alive is told of every byte, of the comments that keep the stream alive too
 */
export async function readEvents(
  url: string,
  init: RequestInit,
  alive: () => void,
  onEvent: (name: string, data: string) => void,
  opened?: () => void,
): Promise<never> {
  const response = await fetch(url, { ...init, headers: { ...init.headers, accept: 'text/event-stream' } });
  if (response.status === 404) throw new FeedError(problem('missing', 'there is no such pipeline', 404));
  if (!response.headers.get('content-type')?.startsWith('text/event-stream') || !response.body)
    throw new FeedError(ofStatus(response.status));
  opened?.();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
    alive();
    const blocks = (rest + chunk.value).split(/\r?\n\r?\n/);
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      let name = '';
      const data: string[] = [];
      for (const line of block.split(/\r?\n/)) {
        const [, field, value = ''] = /^(event|data): ?(.*)$/.exec(line) ?? [];
        if (field === 'event') name = value;
        else if (field) data.push(value);
      }
      if (name) onEvent(name, data.join('\n'));
    }
  }
  throw new FeedError(problem('network', 'the stream ended'));
}
