/** React over the feed: hooks and the monitor. React 18 and 19. */
export {
  type StatusFeed,
  useAge,
  useConnection,
  useFeed,
  useOverview,
  usePipelineStatus,
  useStatusFeed,
} from './hooks';
export { PipelineMonitor, type PipelineMonitorProps } from './monitor';
export {
  createFeeds,
  type Feeds,
  PipewatchProvider,
  type PipewatchProviderProps,
  useFeeds,
  type Watched,
} from './provider';
