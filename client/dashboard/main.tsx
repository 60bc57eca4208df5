import './mantine.css';
import './style.css';
import './parts/parts.css';
import './screens.css';
import { createTheme, MantineProvider } from '@mantine/core';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { PipewatchProvider } from '../src/react';
import { App } from './app';
import { Contained } from './parts/later';
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
      {/* Variables and classes come from the style sheet: the policy of the pages allows no style elements. */}
      <MantineProvider theme={theme} defaultColorScheme="auto" withCssVariables={false} withGlobalClasses={false}>
        <PipewatchProvider sources="all" token={storedToken}>
          <Contained>
            <App />
          </Contained>
        </PipewatchProvider>
      </MantineProvider>
    </StrictMode>,
  );
}
