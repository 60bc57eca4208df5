import './mantine.css';
import './style.css';
import './components/components.css';
import './components/charts.css';
import './responsive.css';
import { createTheme, MantineProvider } from '@mantine/core';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { PipewatchProvider } from '../src/react';
import { App } from './app';
import { ErrorIsland } from './components/lazy-with-retry';
import { storedToken } from './token';

const theme = createTheme({
  primaryColor: 'dark',
  autoContrast: true,
  cursorType: 'pointer',
  defaultRadius: 'md',
  fontFamily: 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif',
});

const root = document.getElementById('root');
if (root) {
  createRoot(root).render(
    <StrictMode>
      {/* Variables and classes come from the style sheet, since the content security policy forbids style elements. */}
      <MantineProvider theme={theme} defaultColorScheme="auto" withCssVariables={false} withGlobalClasses={false}>
        <PipewatchProvider sources="all" token={storedToken}>
          <ErrorIsland>
            <App />
          </ErrorIsland>
        </PipewatchProvider>
      </MantineProvider>
    </StrictMode>,
  );
}
