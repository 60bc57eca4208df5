import { type ReactNode, StrictMode } from 'react';
import type { PipelineStatus, PipelineSummary } from '../src/feed';
import { type Feeds, PipewatchProvider } from '../src/react';
import { fakeFeed } from './fake-feed';

/** A provider whose status feeds are all one fake feed. */
export function fakeFeeds() {
  const fake = fakeFeed<PipelineStatus>();
  const requested: (string | undefined)[] = [];
  const feeds: Feeds = {
    status({ pipeline }) {
      requested.push(pipeline);
      return fake.feed;
    },
    overview: () => fakeFeed<readonly PipelineSummary[]>().feed,
  };
  const wrapper = ({ children }: { children: ReactNode }) => (
    <StrictMode>
      <PipewatchProvider feeds={feeds}>{children}</PipewatchProvider>
    </StrictMode>
  );
  return { fake, feeds, requested, wrapper };
}
