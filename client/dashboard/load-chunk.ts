import { backoff } from '../src/feed/machine';

export interface LoaderEnvironment {
  /** Whether the server responds to a request for this page. */
  isServerUp(): Promise<boolean>;
  wait(milliseconds: number): Promise<void>;
  /** Reloads the page; returns false if that was tried recently. */
  reload(): boolean;
  random(): number;
}

/** Limits the wait between two attempts to 4 s and its jitter. */
const MAX_BACKOFF_EXPONENT = 2;

/** The minimum time between two reloads, in milliseconds. */
const RELOAD_INTERVAL = 300_000;

const RELOADED_AT_KEY = 'pipewatch-reloaded';

/**
 * Loads code that is not part of the first view, and waits while the server is unreachable. If the server responds but the
 * code does not load, an update has replaced the files of this page, or the browser has cached the failure (HTML permits it:
 * whatwg/html#6768). Both require a reload of the page.
 */
export async function loadChunk<Chunk>(
  load: () => Promise<Chunk>,
  environment: LoaderEnvironment = BROWSER,
): Promise<Chunk> {
  for (let failures = 0; ; failures += 1) {
    try {
      if (failures === 0 || (await environment.isServerUp())) return await load();
    } catch (error) {
      // The server may have gone down since: then a reload would end on the browser's error page.
      if (failures > 0 && (await environment.isServerUp()) && !environment.reload()) throw error;
    }
    await environment.wait(backoff(Math.min(failures, MAX_BACKOFF_EXPONENT), environment.random));
  }
}

const BROWSER: LoaderEnvironment = {
  isServerUp: () =>
    fetch(document.baseURI, { method: 'HEAD', cache: 'no-store' }).then(
      (response) => response.ok,
      () => false,
    ),
  wait: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
  reload() {
    if (Date.now() - Number(sessionStorage.getItem(RELOADED_AT_KEY)) < RELOAD_INTERVAL) return false;
    sessionStorage.setItem(RELOADED_AT_KEY, String(Date.now()));
    window.location.reload();
    return true;
  },
  random: Math.random,
};
