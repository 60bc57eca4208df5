/** React hooks and components over the feed, for React 18 and 19. */
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
  type PipelineSelection,
  PipewatchProvider,
  type PipewatchProviderProps,
  useFeeds,
} from './provider';
