import { FeedError, pipelineNotFound, problemFromStatus, streamEnded } from '../problem';

/**
 * Reads Server-Sent Events until the stream ends, which is an error. It uses fetch because EventSource cannot send a token,
 * hides comments, and always reconnects.
 *
 * @param onActivity called for every chunk, including the comments that keep the stream alive
 */
export async function readEvents(
  url: string,
  init: RequestInit,
  onActivity: () => void,
  onEvent: (name: string, data: string) => void,
  onOpen?: () => void,
): Promise<never> {
  const response = await fetch(url, { ...init, headers: { ...init.headers, accept: 'text/event-stream' } });
  if (response.status === 404) throw pipelineNotFound();
  if (!response.headers.get('content-type')?.startsWith('text/event-stream') || !response.body)
    throw new FeedError(problemFromStatus(response.status));
  onOpen?.();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = '';
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
    onActivity();
    const blocks = (buffer + chunk.value).split(/\r?\n\r?\n/);
    buffer = blocks.pop() ?? '';
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
  throw new FeedError(streamEnded());
}
